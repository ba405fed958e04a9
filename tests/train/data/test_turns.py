"""What is trained of conversations, in the manner of well-known families' templates.

Expected values are written as a prompt, `|`, and the completion with what is trained in «».
"""

import pytest

from objectives.errors import InputError
from tests.helpers.templates import FAMILIES, tokenizer
from train.data.encoding import Encoder
from train.data.trajectory import Trajectory


def user(text):
    return {"role": "user", "content": text}


def said(text, **fields):
    return {"role": "assistant", "content": text, **fields}


ASKED = [user("How many?")]
CALL = [{"type": "function", "function": {"name": "sky", "arguments": {"at": "farm"}}}]
THINKING = dict.fromkeys(("reasoning_content", "thinking"), "I count.")
THOUGHT = said("<think>\nI count.\n</think>\n\nSeven.")
AGAIN = said("<think>\nHm.\n</think>\n\nYes.")
ROWS = {
    "one turn": (ASKED, [said("Seven.")]),
    "a thought": (ASKED, [THOUGHT]),
    "a thought in its field": (ASKED, [said("Seven.", **THINKING)]),
    "two turns": (ASKED, [said("Six."), user("Sure?"), said("Seven.")]),
    "two thoughts": (ASKED, [THOUGHT, user("Sure?"), AGAIN]),
    "a thought before": ([*ASKED, THOUGHT, user("Sure?")], [AGAIN]),
    "a tool": (ASKED, [said("", tool_calls=CALL), {"role": "tool", "content": "rain"},
                       said("It rains.")]),
    "a system's words": ([{"role": "system", "content": "Brief."}, *ASKED], [said("Seven.")]),
}  # fmt: skip


def shown(name, prompt, completion, writes=None, merges=(), **fields):
    """Return a row's tokens as text with what is trained marked, and the encoder's notes.

    writes: a template in the place of the family's; merges: as `tokenizer` has them.
    """
    reader = tokenizer(name, merges=merges)
    reader.chat_template = writes or reader.chat_template
    encoder = Encoder(reader)
    row = Trajectory(prompt, completion, 1.0, "group", where="FILE row 3", **fields)
    (tokens,) = encoder.encode([row])
    pieces = ["".join(reader.convert_ids_to_tokens(tokens.prompt)), "|"]
    marks = tokens.trained or [True] * len(tokens.completion)
    before = False
    for token, mark in zip(tokens.completion, marks, strict=True):
        pieces += ["«" if mark else "»"] * (mark != before)
        pieces.append(reader.convert_ids_to_tokens(token))
        before = mark
    assert not tokens.completion or (marks[0] and marks[-1])
    return "".join(pieces) + "»" * before, encoder.notes()


OPENED = "<|im_start|>assistant\n"
CHATML = f"<|im_start|>user\nHow many?<|im_end|>\n{OPENED}|"
SURE = "\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n"
LLAMA_3 = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHow many?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n|"
)
GEMMA = "<bos><start_of_turn>user\nHow many?<end_of_turn>\n<start_of_turn>model\n|"
HARMONY = "<|start|>user<|message|>How many?<|end|><|start|>assistant|"
FINAL = "<|channel|>final<|message|>"
R1, R1_END = "<｜begin▁of▁sentence｜><｜User｜>How many?<｜Assistant｜>", "<｜end▁of▁sentence｜>"
EXPECTED = {
    ("chatml", "one turn"): CHATML + "«Seven.<|im_end|>»",
    ("chatml", "a thought"): CHATML + "«<think>\nI count.\n</think>\n\nSeven.<|im_end|>»",
    ("chatml", "a thought in its field"): CHATML + "«Seven.<|im_end|>»",
    ("chatml", "two turns"): CHATML + f"«Six.<|im_end|>»{SURE}«Seven.<|im_end|>»",
    # The template writes no calls: what was said instead is not to be learnt.
    ("chatml", "a tool"): CHATML[:-1] + "<|im_end|>\n<|im_start|>tool\nrain<|im_end|>\n"
    "<|im_start|>assistant\n|«It rains.<|im_end|>»",
    ("chatml", "a system's words"): f"<|im_start|>system\nBrief.<|im_end|>\n{CHATML}"
    "«Seven.<|im_end|>»",
    ("chatml with a default system turn", "one turn"):
    f"<|im_start|>system\nBe of use.<|im_end|>\n{CHATML}«Seven.<|im_end|>»",
    ("chatml with a default system turn", "a system's words"):
    f"<|im_start|>system\nBrief.<|im_end|>\n{CHATML}«Seven.<|im_end|>»",
    ("qwen3", "one turn"): CHATML + "«<think>\n\n</think>\n\nSeven.<|im_end|>»",
    ("qwen3", "a thought"): CHATML + "«<think>\nI count.\n</think>\n\nSeven.<|im_end|>»",
    ("qwen3", "a thought in its field"):
    CHATML + "«<think>\nI count.\n</think>\n\nSeven.<|im_end|>»",
    ("qwen3", "two thoughts"):
    CHATML + f"«Seven.<|im_end|>»{SURE}«<think>\nHm.\n</think>\n\nYes.<|im_end|>»",
    ("qwen3", "a thought before"):
    f"{CHATML[:-1]}Seven.<|im_end|>{SURE}|«<think>\nHm.\n</think>\n\nYes.<|im_end|>»",
    ("qwen3", "a tool"): CHATML + '«<tool_call>\n{"name": "sky", "arguments": {"at": "farm"}}\n'
    "</tool_call><|im_end|>»\n<|im_start|>user\n<tool_response>\nrain\n</tool_response><|im_end|>"
    "\n<|im_start|>assistant\n«<think>\n\n</think>\n\nIt rains.<|im_end|>»",
    ("qwq", "one turn"): CHATML + "«Seven.<|im_end|>»",
    ("qwq", "a thought"): CHATML[:-1] + "<think>\n|«I count.\n</think>\n\nSeven.<|im_end|>»",
    ("qwq", "two thoughts"):
    CHATML + f"«Seven.<|im_end|>»{SURE}<think>\n«Hm.\n</think>\n\nYes.<|im_end|>»",
    ("deepseek r1", "one turn"): f"{R1}|«Seven.{R1_END}»",
    ("deepseek r1", "a thought"): f"{R1}<think>\n|«I count.\n</think>\n\nSeven.{R1_END}»",
    ("deepseek r1", "two turns"):
    f"{R1}|«Six.{R1_END}»<｜User｜>Sure?<｜Assistant｜>«Seven.{R1_END}»",
    ("deepseek r1", "two thoughts"): f"{R1}|«\n\nSeven.{R1_END}»<｜User｜>Sure?<｜Assistant｜>"
    f"<think>\n«Hm.\n</think>\n\nYes.{R1_END}»",
    ("deepseek r1", "a thought before"):
    f"{R1}\n\nSeven.{R1_END}<｜User｜>Sure?<｜Assistant｜><think>\n|"
    f"«Hm.\n</think>\n\nYes.{R1_END}»",
    ("deepseek", "two turns"): "<｜begin▁of▁sentence｜>User: How many?\n\nAssistant:|"
    f"« Six.{R1_END}»User: Sure?\n\nAssistant:« Seven.{R1_END}»",
    ("gemma", "one turn"): GEMMA + "«Seven.<end_of_turn>»",
    ("gemma", "two turns"): GEMMA + "«Six.<end_of_turn>»\n<start_of_turn>user\nSure?<end_of_turn>"
    "\n<start_of_turn>model\n«Seven.<end_of_turn>»",
    ("llama 2", "one turn"): "<s>[INST] How many? [/INST]|« Seven. </s>»",
    ("llama 2", "two turns"):
    "<s>[INST] How many? [/INST]|« Six. </s>»<s>[INST] Sure? [/INST]« Seven. </s>»",
    ("llama 2", "a system's words"):
    "<s>[INST] <<SYS>>\nBrief.\n<</SYS>>\n\nHow many? [/INST]|« Seven. </s>»",
    ("llama 3", "one turn"): LLAMA_3 + "«Seven.<|eot_id|>»",
    ("llama 3", "two turns"): LLAMA_3 + "«Six.<|eot_id|>»<|start_header_id|>user<|end_header_id|>"
    "\n\nSure?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n«Seven.<|eot_id|>»",
    ("phi", "one turn"): "<|user|>\nHow many?<|end|>\n<|assistant|>\n|«Seven.<|end|>»",
    ("phi", "two turns"): "<|user|>\nHow many?<|end|>\n<|assistant|>\n|«Six.<|end|>»\n"
    "<|user|>\nSure?<|end|>\n<|assistant|>\n«Seven.<|end|>»",
    ("harmony", "one turn"): HARMONY + f"«{FINAL}Seven.<|return|>»",
    ("harmony", "a thought in its field"): HARMONY + "«<|channel|>analysis<|message|>I count."
    f"<|end|><|start|>assistant{FINAL}Seven.<|return|>»",
    ("harmony", "two turns"): HARMONY + f"«{FINAL}Six.<|end|>»<|start|>user<|message|>Sure?<|end|>"
    f"<|start|>assistant«{FINAL}Seven.<|return|>»",
    ("harmony", "a tool"): HARMONY + "« to=functions.sky<|channel|>commentary json<|message|>"
    '{"at": "farm"}<|call|>»<|start|>tool<|message|>rain<|end|><|start|>assistant'
    f"«{FINAL}It rains.<|return|>»",
    ("mistral", "a system's words"): "<s>[INST] Brief.\n\nHow many?[/INST]|« Seven.</s>»",
    ("mistral", "two turns"): "<s>[INST] How many?[/INST]|« Six.</s>»[INST] Sure?[/INST]"
    "« Seven.</s>»",
    ("marked", "one turn"): CHATML + "«Seven.<|im_end|>»",
    ("marked", "two turns"): CHATML + f"«Six.<|im_end|>»{SURE}«Seven.<|im_end|>»",
    ("bare", "one turn"): "user: How many?\nassistant: |«Seven.»",
    ("bare", "two turns"): "user: How many?\nassistant: |«Six.»\nuser: Sure?\nassistant: «Seven.»",
}  # fmt: skip


@pytest.mark.parametrize(("name", "row"), EXPECTED)
def test_what_is_trained(name, row):
    assert shown(name, *ROWS[row])[0] == EXPECTED[name, row]


def test_every_family_and_row_is_looked_at():
    assert {name for name, _ in EXPECTED} == set(FAMILIES)
    assert {row for _, row in EXPECTED} == set(ROWS)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("gemma", "a system's words", "FILE row 3: .*System role not supported"),
        ("gemma", "a tool", "FILE row 3: .*roles must alternate"),
        ("llama 2", "a tool", "FILE row 3: .*roles must alternate"),
    ],
)
def test_what_a_template_refuses_is_named_with_its_words(name, row, message):
    with pytest.raises(InputError, match=message) as raised:
        shown(name, *ROWS[row])
    assert "How many" not in str(raised.value)


def test_a_template_that_writes_the_prompt_otherwise_later_is_refused():
    prompt, _ = ROWS["a system's words"]
    with pytest.raises(InputError, match="FILE row 3: the chat template writes the prompt"):
        shown("mistral", prompt, ROWS["two turns"][1])


@pytest.mark.parametrize(
    "answer",
    [
        OPENED + "{% generation %}{{ m['content'] }}{% endgeneration %}<|im_end|>\n",
        "{% generation %}" + OPENED + "{{ m['content'] }}<|im_end|>{% endgeneration %}{{ nl }}",
    ],
)
def test_a_template_may_mark_less_or_more_than_what_is_learnt(answer):
    writes = (
        "{% set nl = '\n' %}{% for m in messages %}{% if m['role'] == 'assistant' %}" + answer
        + "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}" + OPENED + "{% endif %}"
    )  # fmt: skip
    before = [*ROWS["two turns"][0], *ROWS["two turns"][1], user("And now?")]
    text, _ = shown("marked", *ROWS["two turns"], writes)
    assert text == EXPECTED["marked", "two turns"]
    text, _ = shown("marked", before, [said("Eight.")], writes)
    assert text.endswith("And now?<|im_end|>\n<|im_start|>assistant\n|«Eight.<|im_end|>»")


def test_a_thought_that_a_template_marks_as_its_own_is_not_trained():
    writes = FAMILIES["marked"].template.replace(
        "{% generation %}", "<think>\n\n</think>\n\n{% generation %}"
    )
    text, _ = shown("marked", *ROWS["one turn"], writes)
    assert text == CHATML[:-1] + "<think>\n\n</think>\n\n|«Seven.<|im_end|>»"


def test_tokens_that_span_a_boundary_are_the_assistants():
    merges = [(" ", "S"), (".", "\n")]  # across the beginning, and the end
    text, _ = shown("bare", *ROWS["two turns"], merges=merges)
    assert text == "user: How many?\nassistant:|« Six.\n»user: Sure?\nassistant:« Seven.»"


@pytest.mark.parametrize(
    "text", ["Seven.<|im_end|>", "Seven.<|im_end|>\n", "Seven.<|im_end|> \n\n"]
)
def test_an_end_that_is_there_is_not_written_twice(text):
    for name in ("chatml", "qwq"):
        assert shown(name, ASKED, [said(text)])[0] == CHATML + "«Seven.<|im_end|>»"
        # In plain text too, and by the tokenizer's end of sequence, as ever.
        assert shown(name, "Q?", text)[0] == "Q?|«Seven.<|im_end|>»"
    assert shown("chatml", "Q?", "Seven.<|endoftext|>\n")[0] == "Q?|«Seven.<|endoftext|>»"


def test_plain_text_ends_in_the_tokenizers_end_of_sequence():
    assert shown("chatml", "Q?", "A.")[0] == "Q?|«A.<|endoftext|>»"
    assert shown("chatml", "Q?", "A.\n")[0] == "Q?|«A.\n<|endoftext|>»"
    assert shown("chatml", "Q?", "A.", truncated=True)[0] == "Q?|«A.»"
    assert shown("chatml", "Q <|im_end|>?", "An <|im_end|> is.")[0].endswith("is.<|endoftext|>»")
    assert shown("bare", "Q?", "A.")[0] == "Q?|«A.»"


def test_a_truncated_turn_has_no_end():
    rows = ROWS["two turns"]
    assert shown("chatml", *ROWS["one turn"], truncated=True)[0] == CHATML + "«Seven.»"
    assert shown("chatml", *rows, truncated=True)[0] == CHATML + f"«Six.<|im_end|>»{SURE}«Seven.»"
    assert shown("llama 2", *ROWS["one turn"], truncated=True)[0].endswith("|« Seven.»")


def test_sampled_ids_of_a_turn_are_kept():
    reader = tokenizer("chatml")
    ids = [*reader("Seven.")["input_ids"], reader.convert_tokens_to_ids("<|endoftext|>")]
    text, _ = shown("chatml", *ROWS["one turn"], token_ids=ids)
    assert text == CHATML + "«Seven.<|endoftext|>»"
    text, _ = shown("chatml", ASKED, [said("Six.")], token_ids=ids)
    assert text == CHATML + "«Six.<|im_end|>»"


def test_a_completion_that_only_calls_tools_needs_a_template_that_writes_them():
    text, notes = shown("chatml", ASKED, [said("", tool_calls=CALL)])
    assert text == CHATML  # without a completion it is left out, and counted
    assert notes[1:] == [
        "not used: tool_calls of 1 trajectory, at which the chat template does not look"
    ]
    call = '<tool_call>\n{"name": "sky", "arguments": {"at": "farm"}}\n</tool_call>'
    text, _ = shown("qwen3", ASKED, [said("", tool_calls=CALL)])
    assert text == CHATML + f"«<think>\n\n</think>\n\n{call}<|im_end|>»"


CALLS = {  # templates that take calls in one form alone, and what each writes
    "null": ("{% if m.get('content') is none %}{{ m['tool_calls'][0]['function'] | tojson }}"
             "{% else %}{{ m['content'] }}{% endif %}",
             '{"name": "sky", "arguments": {"at": "farm"}}'),
    "text": ("{{ m['content'] }}{% for c in m['tool_calls'] %}{{ c['function']['name'] + ' ' +"
             "c['function']['arguments'] }}{% endfor %}", 'sky {"at": "farm"}'),
    "text and null": ("{% if m.get('content') is none %}{{ 'sky ' +"
                      "m['tool_calls'][0]['function']['arguments'] }}{% else %}{{ m['content'] }}"
                      "{% endif %}", 'sky {"at": "farm"}'),
}  # fmt: skip


@pytest.mark.parametrize("arguments", [{"at": "farm"}, '{"at": "farm"}'])
@pytest.mark.parametrize("content", ["", None])
@pytest.mark.parametrize("form", CALLS)
def test_calls_are_written_in_the_form_that_the_template_takes(form, content, arguments):
    written, expected = CALLS[form]
    writes = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['tool_calls'] %}" + written +
        "{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )  # fmt: skip
    call = [{"type": "function", "function": {"name": "sky", "arguments": arguments}}]
    text, notes = shown("chatml", ASKED, [said(content, tool_calls=call)], writes=writes)
    assert text == CHATML + f"«{expected}<|im_end|>»"
    assert len(notes) == 1


def test_arguments_reach_the_template():
    tools = [{"type": "function", "function": {"name": "sky"}}]
    text, notes = shown("qwen3", *ROWS["one turn"], template={"tools": tools})
    assert text.startswith(
        '<|im_start|>system\n[{"type": "function", "function": {"name": "sky"}}]'
    )
    assert len(notes) == 1
    text, notes = shown("qwen3", *ROWS["one turn"], template={"enable_thinking": False})
    assert text == CHATML[:-1] + "<think>\n\n</think>\n\n|«Seven.<|im_end|>»"
    assert len(notes) == 1


def test_what_the_template_does_not_look_at_is_counted_and_said():
    def unused(name, row, **fields):
        return [note for note in shown(name, *row, **fields)[1] if "not used" in note]

    def line(name):
        return f"not used: {name} of 1 trajectory, at which the chat template does not look"

    field = ROWS["a thought in its field"]
    assert unused("chatml", field) == [line("reasoning_content")]
    assert unused("qwen3", field) == unused("harmony", field) == []
    assert unused("chatml", ROWS["a tool"]) == [line("tool_calls")]
    assert unused("qwen3", ROWS["a tool"]) == []
    both = unused("chatml", field, template={"tools": [], "enable_thinking": True})
    assert both == [line(name) for name in ("enable_thinking", "reasoning_content", "tools")]


def test_how_a_turn_ends_is_said_of_conversations_only():
    assert shown("chatml", *ROWS["one turn"])[1] == [
        r"turns end in <|im_end|>, then \n which is not trained"
    ]
    assert shown("chatml", "Q?", "A.")[1] == []
    assert shown("llama 3", *ROWS["one turn"])[1] == ["turns end in <|eot_id|>"]
    assert shown("llama 2", *ROWS["one turn"])[1] == ["turns end in ' </s>'"]
    assert shown("bare", *ROWS["one turn"])[1] == [
        "turns have no end: neither the chat template nor the tokenizer has one"
    ]
