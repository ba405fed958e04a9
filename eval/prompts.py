"""What a model reads: chat templates rendered once, token ids without a doubled BOS."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from objectives.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BOXED_INSTRUCTION = "Think step by step, and put the final answer within \\boxed{}."

Message = Mapping[str, str]


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Return the token ids of a prompt's text, as the model expects it to begin.

    The beginning-of-sequence token is added where the tokenizer adds it by default and the text
    does not carry it already (a rendered chat template often does). An end of sequence is never
    added: a completion follows. Special tokens spelt out in the text become their ids.
    """
    return encode_texts(tokenizer, [text])[0]


def encode_texts(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text as `encode_text` does, many at a time.

    Raises InputError where the tokenizer has no tokens for a text.
    """
    if not texts:
        return []
    try:
        every = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)
    except Exception as error:
        if type(error) is not Exception:  # which tokenizers raise, in Rust
            raise
        raise InputError(f"the tokenizer cannot read a text ({error!s:.160})") from None
    encoded = cast("list[list[int]]", every["input_ids"])
    bos = cast("int", tokenizer.bos_token_id)
    if not _adds_bos(tokenizer):
        return encoded
    return [ids if ids[:1] == [bos] else [bos, *ids] for ids in encoded]


def _adds_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("1")["input_ids"][:1] == [bos]


def render_prompt(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: str | Sequence[Message],
    instruction: str | None = None,
) -> str:
    """Return the text that the model sees for a prompt.

    prompt: chat messages go through the tokenizer's chat template, once, with the opening of the
        assistant's turn; a plain string stays as it is where no instruction is given.
    instruction: appended to a plain string after a blank line; the whole becomes one user message
        where the tokenizer has a chat template.
    Raises InputError where messages meet a tokenizer without chat template, or one that rejects
    them.
    """
    if isinstance(prompt, str):
        if instruction is None:
            return prompt
        prompt = f"{prompt}\n\n{instruction}"
        if not tokenizer.chat_template:
            return prompt + "\n"
        prompt = [{"role": "user", "content": prompt}]
    elif instruction is not None:
        raise InputError("an instruction goes with a plain prompt; put it into the chat messages")
    return render_messages(tokenizer, prompt, opened=True)


def render_messages(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Mapping[str, Any]],
    *,
    opened: bool = False,
    **arguments: Any,
) -> str:
    """Return messages as the tokenizer's chat template writes them.

    opened: with the opening of the assistant's next turn. arguments: what else the template takes,
    such as `tools`. Raises InputError where there is no template, or it refuses the messages.
    """
    if not tokenizer.chat_template:
        raise InputError(
            "the prompt is a list of chat messages, and this model's tokenizer has no chat "
            "template; give the prompt as plain text"
        )
    try:
        rendered = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=opened,
            **arguments,
        )
        return cast("str", rendered)
    except Exception as error:  # templates are programs: they may raise anything
        raise InputError(f"the chat template refuses the messages: {error}") from error


def question_prompt(tokenizer: "PreTrainedTokenizerBase", question: str) -> str:
    """Return the text that asks a question as it is written, nothing said of how to answer.

    One user message where the tokenizer has a chat template, plain text where it has none.
    """
    if not tokenizer.chat_template:
        return question
    return render_prompt(tokenizer, [{"role": "user", "content": question}])


def word_problem_messages(question: str) -> list[dict[str, str]]:
    """Return the chat messages that ask a word problem with its answer in a box."""
    return [{"role": "user", "content": f"{question}\n\n{BOXED_INSTRUCTION}"}]


def word_problem_prompt(tokenizer: "PreTrainedTokenizerBase", question: str) -> str:
    """Return the text that asks a word problem with its answer in a box.

    One user message where the tokenizer has a chat template, plain text where it has none.
    """
    return render_prompt(tokenizer, question, BOXED_INSTRUCTION)
