"""Problems whose prompts do not fit, in evaluation while training and online."""

import json

import pytest

from eval.compare import read_runs
from objectives.errors import InputError
from tests.helpers.started_runs import session, trained
from train.config import UNTRAINED
from train.config.settings import Config
from train.run.setup import set_up

ROWS = [{"question": f"{n}+2=", "answer": str(n + 2)} for n in range(1, 6)]
LONG = {"question": "1+2=" * 60, "answer": "3"}  # the built-in model looks at 128 tokens
WITH_LONG = [*ROWS[:3], LONG, *ROWS[3:]]
OTHER = [*ROWS[:3], ROWS[0], *ROWS[3:]]
REASON = (
    "prompts longer than the 118 tokens that the model's context of 128 leaves beside "
    "{} 10: {} row 4"
)
QUICK = {"steps": 1, "batch_size": 8, "warmup_steps": 0}


def evaluating(path: str) -> Config:
    return Config(eval_problems=path, eval_max_new_tokens=10, eval_samples=2, **QUICK)


def online(path: str) -> Config:
    return Config(
        online=True, data=path, online_max_new_tokens=10, online_samples=2, eval_problems="none",
        **QUICK,
    )  # fmt: skip


def test_evaluation_leaves_out_what_does_not_fit_and_asks_the_others_as_before(
    write_rows, tmp_path
):
    path = write_rows(WITH_LONG)
    setup = set_up(evaluating(path))
    reason = REASON.format("--eval-max-new-tokens", path)
    assert f"eval   left out: 1 ({reason})" in setup.describe()
    other = set_up(evaluating(write_rows(OTHER, "other.jsonl")))
    assert other.evaluator.problems.left_out == {}
    found, every = (s.evaluator.evaluate(s.base.model).completions for s in (setup, other))
    assert found == [row for row in every if row["problem"] != 3]
    assert len(found) == 5 * 3
    trained(session(setup, "sft", tmp_path / "runs" / "sft"))
    config = json.loads((tmp_path / "runs" / "sft" / "config.json").read_text())
    assert config["left_out"][reason] == 1
    (run,), left_out = read_runs([tmp_path / "runs"], UNTRAINED)
    assert left_out == []
    assert len(run.problems) == 5
    assert run.scores["greedy"].shape[1] == 5


def test_online_leaves_out_what_does_not_fit(write_rows, tmp_path):
    path = write_rows(WITH_LONG)
    setup = set_up(online(path))
    reason = REASON.format("--online-max-new-tokens", path)
    run = session(setup, "reinforce", tmp_path / "run")
    assert f"left out: 1 ({reason})" in run.describe()
    assert "5 problems, 4 at a time" in run.describe()
    prompts = {tuple(setup.sampler.prompts[i]) for i in range(5)}
    drawn = setup.sampler.sample(setup.base.model, 0) + setup.sampler.sample(setup.base.model, 1)
    assert {tuple(rollout.tokens.prompt) for rollout in drawn} == prompts
    assert max(map(len, prompts)) <= 118
    assert {prompt[0] for prompt in prompts} == {setup.base.tokenizer.encode(n)[0] for n in "12345"}
    trained(run)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["left_out"] == {reason: 1}


@pytest.mark.parametrize("of", [evaluating, online])
def test_where_no_prompt_fits_nothing_begins(of, write_rows):
    path = write_rows([LONG])
    with pytest.raises(InputError, match=r"rows\.jsonl: no prompt fits: the shortest has"):
        set_up(of(path))


def test_what_limits_would_cut_is_said_at_the_start(write_rows):
    rows = [{"question": "1+2=", "answer": f"{'1+2=3;' * n} #### 3"} for n in (0, 9, 9, 9)]
    path = write_rows(rows)
    said = f"--eval-max-new-tokens 10 would cut 3 of 4 solutions in {path} (75.0%)"
    assert said in set_up(evaluating(path)).describe()
    said = f"--online-max-new-tokens 10 would cut 3 of 4 solutions in {path} (75.0%)"
    assert said in set_up(online(path)).describe()
    # Without solutions, what is known of completions is the data's, said where one would be cut.
    answers = write_rows(ROWS, "answers.jsonl")
    data = [
        {"prompt": "1+2=", "completion": "3" * n, "reward": float(n % 2)} for n in (4, 5, 20, 21)
    ]
    setup = set_up(evaluating(answers), data=data)
    assert "--eval-max-new-tokens 10 would cut 2 of 4 completions in 4 rows" in setup.describe()
    assert "would cut" not in set_up(evaluating(answers), data=data[:2]).describe()
