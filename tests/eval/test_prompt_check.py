"""All prompts are looked at before anything is sampled."""

import json
from functools import partial

import pytest

from eval import sampling
from eval.__main__ import main
from eval.engines.by_transformers import TransformersEngine
from eval.generation import generate
from eval.problems.files import load_problems, worked_solutions
from eval.problems.problem_set import word_problem_set
from eval.prompt_check import Limit, check_prompts, room_beside_prompts, share_cut, solution_lengths
from eval.prompts import encode_text
from objectives.errors import InputError
from train.models.load import load_model

ROWS = [{"question": f"{n}+2=", "answer": str(n + 2)} for n in range(1, 6)]
LONG = {"question": "1+2=" * 60, "answer": "3"}  # the built-in model looks at 128 tokens
WITH_LONG = [*ROWS[:3], LONG, *ROWS[3:]]
REASON = (
    "prompts longer than the 122 tokens that the model's context of 128 leaves beside "
    "--max-new-tokens 6: {} row 4"
)


@pytest.fixture(scope="module")
def builtin():
    return load_model("builtin")


@pytest.fixture(scope="module")
def reader(builtin):
    """An engine of the built-in model, and its tokenizer."""
    return TransformersEngine(builtin[0]), builtin[1]


@pytest.fixture
def evaluate(call):
    return partial(call, main)


def test_what_is_too_long_is_left_out_and_counted_by_the_rows_of_the_file(builtin, reader):
    prompts = ["1+2=", "1" * 120, "1" * 121, "2+3=", "2" * 200]
    checked = check_prompts(
        *reader,
        prompts,
        Limit(8, "--flag"),
        "mine.jsonl",
        skipped=10,
    )
    assert checked.kept == [0, 1, 3]
    (reason,) = checked.left_out
    assert checked.left_out[reason] == 2
    assert reason.endswith("of 128 leaves beside --flag 8: mine.jsonl rows 13, 15")
    assert checked.lines() == [f"left out: 2 ({reason})"]
    many = check_prompts(
        *reader,
        ["1+2=", *["1" * 200] * 7],
        Limit(8),
        "mine.jsonl",
    )
    assert next(iter(many.left_out)).endswith("rows 2, 3, 4, 5, 6 and 2 more")
    # What is kept is what can be sampled, to the token.
    generate(*builtin, [prompts[place] for place in checked.kept], max_new_tokens=8)
    with pytest.raises(InputError, match="context"):
        generate(*builtin, [prompts[2]], max_new_tokens=8)


def test_where_no_prompt_fits_nothing_is_sampled(builtin, reader):
    with pytest.raises(InputError, match=r"mine: no prompt fits: the shortest has 4 tokens, and .*"
                       r"of 128 leaves 2 beside --max-new-tokens 126: lower that"):  # fmt: skip
        check_prompts(*reader, ["1+2=", "11+22="], Limit(126), "mine")


def test_a_prompt_that_cannot_be_read_is_named_by_its_row(builtin, reader):
    model, tokenizer = load_model("builtin")
    with pytest.raises(InputError, match="mine row 2: its prompt has no tokens"):
        check_prompts(*reader, ["1+2=", ""], Limit(6), "mine")
    tokenizer.add_tokens(["<new>"])
    engine = TransformersEngine(model)
    with pytest.raises(InputError, match=r"mine row 7: its prompt has the token '<new>' \(id 19\)"):
        check_prompts(engine, tokenizer, ["1+2=", "1<new>2="], Limit(6), "mine", skipped=5)
    model.resize_token_embeddings(len(tokenizer))
    check_prompts(engine, tokenizer, ["1+2=", "1<new>2="], Limit(6), "mine", skipped=5)


REFUSING = "{% if 'no' in messages[0].content %}{{ raise_exception('said no') }}{% endif %}1+1="


def test_a_question_that_the_template_refuses_is_named_by_its_row(write_rows):
    _, tokenizer = load_model("builtin")
    tokenizer.chat_template = REFUSING
    path = write_rows([*ROWS[:2], {"question": "no", "answer": "1"}])
    with pytest.raises(InputError, match=r"rows.jsonl row 3: the chat template refuses.*said no"):
        word_problem_set(path, tokenizer)
    assert len(word_problem_set(path, tokenizer, limit=2).prompts) == 2


def test_a_long_prompt_does_not_cut_all_completions_short(builtin):
    room = partial(room_beside_prompts, *builtin)
    assert room(["1" * 10, "1" * 67], 2048) == 61
    assert room(["1" * 10, "1" * 67], 20) == 20
    assert room(["1" * 10, "1" * 500], 2048) == 32  # a quarter of the context; one is left out
    assert room(["1" * 10, "1" * 120], 20) == 20
    assert room([], 2048) == 2048


def test_a_left_out_problem_changes_nothing_of_the_others(evaluate, write_rows, tmp_path):
    how = "--samples 2 --temperature 1 --max-new-tokens 6 --batch-size 4"
    path = write_rows(WITH_LONG, "mine.jsonl")
    status, out, err = evaluate(f"--problems {path} {how} --out with")
    assert status == 0, err
    assert f"mine: left out: 1 ({REASON.format(path)})" in out
    summary = json.loads((tmp_path / "with" / "summary.json").read_text())
    assert summary["left_out"] == {"mine": {REASON.format(path): 1}}
    assert summary["scores"][0]["problems"] == 5
    other = write_rows([*ROWS[:3], {"question": "7+7=", "answer": "14"}, *ROWS[3:]], "other.jsonl")
    assert evaluate(f"--problems {other} {how} --out without")[0] == 0
    kept, every = (
        [json.loads(line) for line in (tmp_path / name / "completions.jsonl").open()]
        for name in ("with", "without")
    )
    assert json.loads((tmp_path / "without" / "summary.json").read_text())["left_out"] == {}
    said = [(r["index"], r["sample"], r["completion"]) for r in kept]
    assert said == [(r["index"], r["sample"], r["completion"]) for r in every if r["index"] != 3]
    assert len({text for *_, text in said}) > 3


def test_all_benchmarks_are_looked_at_before_any_is_sampled(
    evaluate, write_rows, tmp_path, monkeypatch
):
    write_rows(ROWS, "gsm8k.jsonl")
    write_rows([LONG], "math500.jsonl")
    monkeypatch.setattr(sampling, "generate", None)  # would fail
    words = "--benchmarks gsm8k,math500 --benchmark-dir . --out mine"
    status, _, err = evaluate(words)
    assert status == 2
    assert "math500: no prompt fits" in err
    assert (tmp_path / "mine" / "completions.jsonl").read_text() == ""


def test_a_finished_folder_with_a_problem_left_out_is_finished(evaluate, write_rows, tmp_path):
    words = f"--problems {write_rows(WITH_LONG)} --max-new-tokens 6 --out mine"
    _, first, _ = evaluate(words)
    before = (tmp_path / "mine" / "completions.jsonl").read_text()
    status, second, err = evaluate(words)
    assert status == 0, err
    assert (tmp_path / "mine" / "completions.jsonl").read_text() == before
    table = first.index("benchmark ")
    assert second.endswith(first[table:])
    assert "rows: --max-new-tokens 6 would cut 5 of 5 earlier completions (100.0%)" in second


SOLVED = [
    {"question": "1+2=", "answer": "1+2=3 #### 3"},
    {"question": "1+3=", "answer": "4", "solution": "1+3=4 and so 4"},
    {"question": "1+4=", "answer": "so \\boxed{5}"},
    {"question": "1+5=", "answer": "6 (apples)"},
    {"question": "1+6=", "answer": "7", "solution": "7"},
]


def test_worked_solutions_are_those_of_a_column_or_an_answer(write_rows):
    problems = load_problems(write_rows(SOLVED))
    assert problems == [(f"1+{n}=", str(n + 1)) for n in range(2, 7)]  # as without solutions
    assert worked_solutions(problems) == ["1+2=3 #### 3", "1+3=4 and so 4", "so \\boxed{5}"]


def test_the_share_of_solutions_that_a_limit_cuts_is_said_first(evaluate, write_rows, builtin):
    _, tokenizer = builtin
    lengths = solution_lengths(tokenizer, ["1+2=3", "1+2=3;#3"])
    assert lengths == [len(encode_text(tokenizer, text)) + 1 for text in ("1+2=3", "1+2=3;#3")]
    assert share_cut(lengths, Limit(lengths[0]), "texts") == (
        f"--max-new-tokens {lengths[0]} would cut 1 of 2 texts (50.0%)"
    )
    assert share_cut([], Limit(3), "texts") is None
    rows = [{"question": "1+2=", "answer": f"{'1+2=3;' * n} #### 3"} for n in (1, 2, 9, 9)]
    _, out, _ = evaluate(f"--problems {write_rows(rows)} --max-new-tokens 30 --out mine")
    assert "rows: --max-new-tokens 30 would cut 2 of 4 solutions (50.0%)" in out


def test_a_problem_set_keeps_the_places_of_those_that_are_asked(builtin, write_rows):
    model, tokenizer = builtin
    problems = word_problem_set(write_rows(WITH_LONG), tokenizer, 6)
    assert problems.places == list(range(6))
    checked = problems.checked(TransformersEngine(model), tokenizer, "--eval-max-new-tokens")
    assert checked.places == [0, 1, 2, 4, 5]
    assert sum(checked.left_out.values()) == 1
    assert checked.problems == problems.problems
