"""Chat templates in the manner of well-known families, and a tokenizer of single characters."""

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

USER_ONLY = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% endfor %}"
)
ALTERNATING = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}"
    "{% endif %}{% endfor %}"
)
OPENED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
TURN = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"


class Family(NamedTuple):
    """A template, the tokens it is made of, and what else its tokenizer has."""

    template: str
    tokens: tuple[str, ...]
    eos: str | None
    bos: str | None = None


FAMILIES = {
    # ChatML, with a tokenizer that ends documents otherwise than turns.
    "chatml": Family(
        "{% for m in messages %}" + TURN + "{% endfor %}" + OPENED,
        ("<|im_start|>", "<|im_end|>"), "<|endoftext|>",
    ),
    "chatml with a default system turn": Family(
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe of use.<|im_end|>\n"
        "{% endif %}{% for m in messages %}" + TURN + "{% endfor %}" + OPENED,
        ("<|im_start|>", "<|im_end|>"), "<|im_end|>",
    ),
    # With tools, and thoughts in a field of their own, kept after the last question alone.
    "qwen3": Family(
        "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
        "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m['role'] == 'user' %}"
        "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
        "{% for m in messages %}{% set content = m['content'] or '' %}"
        "{% if m['role'] == 'assistant' %}{% set thought = m['reasoning_content'] or '' %}"
        "{% if not thought and '</think>' in content %}"
        "{% set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
        "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}"
        "<|im_start|>assistant\n{% if loop.index0 > ns.last and (thought or loop.last) %}"
        "<think>\n{{ thought }}\n</think>\n\n{% endif %}{{ content }}"
        "{% for call in m['tool_calls'] or [] %}\n<tool_call>\n{{ call['function'] | tojson }}\n"
        "</tool_call>{% endfor %}<|im_end|>\n"
        "{% elif m['role'] == 'tool' %}<|im_start|>user\n<tool_response>\n{{ content }}\n"
        "</tool_response><|im_end|>\n"
        "{% else %}<|im_start|>{{ m['role'] }}\n{{ content }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
        "{% endif %}{% endif %}",
        ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>"),
        "<|im_end|>",
    ),
    # Opens the thought itself, and keeps it in the last turn only.
    "qwq": Family(
        "{% for m in messages %}{% set content = m['content'] %}"
        "{% if m['role'] == 'assistant' and not loop.last %}"
        "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}"
        "<|im_start|>{{ m['role'] }}\n{{ content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
        ("<|im_start|>", "<|im_end|>", "<think>", "</think>"), "<|im_end|>",
    ),
    # Opens the thought itself, and strips it from every turn.
    "deepseek r1": Family(
        "{{ bos_token }}{% for m in messages %}{% set content = m['content'] %}"
        "{% if m['role'] == 'user' %}<｜User｜>{{ content }}{% elif m['role'] == 'assistant' %}"
        "<｜Assistant｜>{{ content.split('</think>')[-1] }}<｜end▁of▁sentence｜>"
        "{% else %}{{ content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}",
        ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>",
    ),
    "deepseek": Family(
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "User: {{ m['content'] }}\n\n{% elif m['role'] == 'assistant' %}"
        "Assistant: {{ m['content'] }}{{ eos_token }}{% else %}{{ m['content'] }}\n\n"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}",
        (), "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>",
    ),
    "gemma": Family(
        USER_ONLY + ALTERNATING + "{{ bos_token }}{% for m in messages %}<start_of_turn>"
        "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}"
        "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n"
        "{% endif %}",
        ("<start_of_turn>", "<end_of_turn>"), "<eos>", "<bos>",
    ),
    # No opening of the assistant's turn, and spaces around what it says.
    "llama 2": Family(
        "{% if messages[0]['role'] == 'system' %}{% set system = '<<SYS>>\n' + "
        "messages[0]['content'] + '\n<</SYS>>\n\n' %}{% set messages = messages[1:] %}"
        "{% else %}{% set system = '' %}{% endif %}" + ALTERNATING +
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token }}[INST] "
        "{{ (system if loop.first else '') + m['content'] | trim }} [/INST]"
        "{% else %} {{ m['content'] | trim }} {{ eos_token }}{% endif %}{% endfor %}",
        (), "</s>", "<s>",
    ),
    "llama 3": Family(
        "{% for m in messages %}{{ bos_token if loop.first }}<|start_header_id|>{{ m['role'] }}"
        "<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n"
        "{% endif %}",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|end_of_text|>", "<|begin_of_text|>",
    ),
    "phi": Family(
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
        ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"), "<|endoftext|>",
    ),
    # Channels; the last turn ends otherwise than earlier ones, whose thoughts are left out.
    "harmony": Family(
        "{% for m in messages %}{% if m['role'] == 'assistant' %}"
        "{% if m['tool_calls'] %}{% for call in m['tool_calls'] %}<|start|>assistant to=functions."
        "{{ call['function']['name'] }}<|channel|>commentary json<|message|>"
        "{{ call['function']['arguments'] | tojson }}<|call|>{% endfor %}{% else %}"
        "{% if m['thinking'] and loop.last %}<|start|>assistant<|channel|>analysis<|message|>"
        "{{ m['thinking'] }}<|end|>{% endif %}<|start|>assistant<|channel|>final<|message|>"
        "{{ m['content'] }}{{ '<|return|>' if loop.last and not add_generation_prompt else "
        "'<|end|>' }}{% endif %}"
        "{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
        ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"),
        "<|return|>",
    ),
    # Puts the system's words into the last question, wherever that is.
    "mistral": Family(
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
        "{% set messages = messages[1:] %}{% endif %}{{ bos_token }}{% for m in messages %}"
        "{% if m['role'] == 'user' %}[INST] {% if system is defined and "
        "loop.index0 >= messages | length - 2 %}{{ system }}\n\n{% endif %}{{ m['content'] }}"
        "[/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}",
        ("[INST]", "[/INST]"), "</s>", "<s>",
    ),
    # Says itself what the assistant wrote.
    "marked": Family(
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}"
        "{% generation %}{{ m['content'] }}<|im_end|>\n{% endgeneration %}{% else %}"
        "{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}" + OPENED,
        ("<|im_start|>", "<|im_end|>"), "<|endoftext|>",
    ),
    # Writes no end of a turn, and its tokenizer has none either.
    "bare": Family(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
        (), None,
    ),
}  # fmt: skip


def tokenizer(
    name: str, pad: str | None = None, merges: Sequence[tuple[str, str]] = ()
) -> PreTrainedTokenizerFast:
    """Return a tokenizer of a family: a token for each character, and one for each of its own.

    merges: characters that are one token where they meet.
    """
    family = FAMILIES[name]
    letters = [chr(code) for code in range(32, 127)] + ["\n", "｜", "▁"]
    letters += ["".join(both) for both in merges]
    core = Tokenizer(models.BPE({text: n for n, text in enumerate(letters)}, list(merges)))
    core.decoder = decoders.Fuse()
    named = [name for name in (family.eos, family.bos, pad, *family.tokens) if name]
    core.add_special_tokens([AddedToken(name, special=True) for name in named])
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=family.eos, bos_token=family.bos, pad_token=pad
    )
    made.chat_template = family.template
    return made
