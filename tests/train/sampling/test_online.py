"""`--online`: any objective on what the policy samples, and what that costs."""

import json
from dataclasses import replace

import pytest
import torch

from eval.grading import Grade
from eval.problems import problem_set
from eval.problems.arithmetic import is_correct
from objectives import OBJECTIVES, group_normalised
from objectives.errors import InputError
from tests.helpers.run_folders import step_lines
from tests.helpers.started_runs import session, started, trained, with_config
from train.__main__ import main
from train.config.settings import Config
from train.models.copies import frozen_copy
from train.sampling.online import OnlineData, mixed
from train.sampling.sampler import Rollout

QUICK = Config(
    steps=3, batch_size=24, online=True, online_samples=4, eval_problems="none", warmup_steps=0,
    learning_rate=1e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


@pytest.mark.parametrize("name", ["grpo", "dpo", "fpa", "sft", "kto", "omd"])
def test_every_kind_of_objective_trains_online(name, setup, tmp_path):
    run, result = trained(session(setup, name, tmp_path / "run"))
    assert len(result.history) == 3
    lines = step_lines(tmp_path / "run")
    assert {"rollout/accuracy", "rollout/truncated", "rollout/length"} <= set(lines[0])
    cost = json.loads((tmp_path / "run" / "result.json").read_text())
    assert cost["online"]
    # Rounds that taught nothing count too.
    sampled = run.data.rounds * QUICK.batch_size
    assert sampled <= cost["tokens_generated"] <= sampled * 48
    assert lines[-1]["num_tokens_generated"] == cost["tokens_generated"]
    assert lines[0]["num_tokens_generated"] < lines[2]["num_tokens_generated"]
    forward = cost["tokens_frozen"] + cost["tokens_generated"]
    computed = cost["tokens_trained"] - cost["tokens_shared"]
    flops = cost["parameters"] * (6 * computed + 2 * forward)
    assert cost["flops"] == flops == lines[-1]["flops"]
    # Two anchors that are one model for the first outer step of omd; grpo's is the policy.
    frozen = {"grpo": 0, "dpo": 1, "fpa": 1, "sft": 0, "kto": 3, "omd": 1}[name]
    assert cost["tokens_frozen"] == frozen * computed


def test_a_draw_is_a_group_of_samples_for_each_of_the_next_problems(setup):
    data = OnlineData(setup.sampler, OBJECTIVES["grpo"], setup.config)
    draw = data.draw(1, setup.base.model)
    assert len(draw.data.tokens) == 24
    assert draw.data.group.tolist() == [n // 4 for n in range(24)]
    prompts = [tuple(tokens.prompt) for tokens in draw.data.tokens]
    assert [len(set(prompts[n : n + 4])) for n in range(0, 24, 4)] == [1] * 6
    assert len(set(prompts)) == 6
    expected = group_normalised(draw.data.reward, draw.data.group)
    assert torch.equal(draw.reward, expected)
    # Rows of problems all right or all wrong are not computed, but count in the mean.
    assert draw.units.flatten().tolist() == expected.nonzero().flatten().tolist()
    assert len(draw.units) < draw.count == 24
    lengths = [len(tokens.completion) for tokens in draw.data.tokens]
    assert draw.mean_length == pytest.approx(sum(lengths) / 24)
    again = OnlineData(setup.sampler, data.objective, setup.config).draw(1, setup.base.model)
    assert list(again.data.tokens) == list(draw.data.tokens)
    following = data.draw(2, setup.base.model)
    assert following.data.group.tolist() == [6 + n // 4 for n in range(24)]
    assert not {tuple(t.prompt) for t in following.data.tokens} & set(prompts)


def test_rewards_are_those_of_the_task(setup):
    rollouts = setup.sampler.sample(setup.base.model, 5)
    tokenizer = setup.base.tokenizer
    for rollout in rollouts:
        prompt = tokenizer.decode(rollout.tokens.prompt, skip_special_tokens=True)
        completion = tokenizer.decode(rollout.tokens.completion, skip_special_tokens=True)
        right = is_correct(prompt, completion)
        assert rollout.reward == (1.0 if right else -1.0)
        assert rollout.truncated == (tokenizer.eos_token_id not in rollout.tokens.completion)
    assert {rollout.reward for rollout in rollouts} == {1.0, -1.0}


@pytest.mark.cpu
def test_updates_on_the_same_samples_keep_the_anchor_that_sampled_them(setup, tmp_path):
    run = started(with_config(setup, online_updates=2), "grpo", tmp_path / "run")
    run.step(1)
    after_one = frozen_copy(run.policies.policy)
    first = run.data._current
    run.step(2)
    assert run.data._current is first
    # The anchor of the first two steps is the base; that of the next two the policy after them.
    micro = next(iter(run.updater.gradients.batcher.micro_batches(first)))
    expected = setup.base.model.log_probs(micro.rows)
    after_two = frozen_copy(run.policies.policy)
    _, batch, _ = run.policies.evaluate(micro, run.updater.lam)
    torch.testing.assert_close(batch.anchor, after_two.log_probs(micro.rows))
    assert (batch.anchor - expected).abs().max() > 1e-3
    run.step(3)
    assert run.data._current is not first
    _, batch, _ = run.policies.evaluate(micro, run.updater.lam)
    torch.testing.assert_close(batch.anchor, after_two.log_probs(micro.rows))
    assert (after_one.log_probs(micro.rows) - batch.anchor).abs().max() > 1e-3


def test_dynamic_sampling_fills_the_batch_with_mixed_problems(setup):
    config = replace(setup.config, online_mixed=True)
    data = OnlineData(setup.sampler, OBJECTIVES["grpo"], config)
    draw = data.draw(1, setup.base.model)
    assert data.rounds > 1
    assert len(draw.data.tokens) == draw.count == len(draw.units) == 24
    for group in draw.data.group.unique():
        assert set(draw.data.reward[draw.data.group == group].tolist()) == {1.0, -1.0}


def test_mixed_keeps_whole_groups():
    def rollouts(*rewards):
        return [Rollout(None, r, g, False) for g, group in enumerate(rewards) for r in group]

    kept = mixed(rollouts((1, 1), (1, -1), (-1, -1), (-1, 1)))
    assert [rollout.group for rollout in kept] == [1, 1, 3, 3]


def test_nothing_to_learn_from_gets_one_line_and_keeps_what_is_there(setup, tmp_path):
    run = session(setup, "grpo", tmp_path / "run")
    grades = iter([None, None])

    def grade(problems, completions, truncated=None):
        if next(grades, "over") is None:
            return problem_set.arithmetic_set([]).grade(problems, completions)
        return [Grade(False, None, "ok")] * len(problems)

    run.data.sampler.problems = replace(run.data.sampler.problems, grade=grade)
    with pytest.raises(InputError, match="grpo finds nothing to learn from in 10 batches"):
        run.train({})
    assert len(step_lines(tmp_path / "run")) == 2
    assert not (tmp_path / "run" / "result.json").exists()


def test_some_objectives_online_beside_others_that_are_not(call, tmp_path):
    quick = "--batch-size 8 --steps 1 --eval-problems none --seeds 0 --out runs"
    status, _, _ = call(main, f"--objective dpo,grpo --online grpo --online-samples 4 {quick}")
    assert status == 0
    for name, online in (("dpo", False), ("grpo", True)):
        folder = tmp_path / "runs" / name / "lr-1e-05" / "seed-0"
        config = json.loads((folder / "config.json").read_text())
        assert config["online"] is online
        assert config["online_samples"] == (4 if online else 8)
        assert json.loads((folder / "result.json").read_text())["online"] is online
        sampled = "rollout/accuracy" in step_lines(folder)[0]
        assert sampled is online


def test_a_file_of_problems(call, write_rows, monkeypatch, tmp_path):
    problems = write_rows([{"question": f"{n}+1*2=", "answer": str(n + 2)} for n in range(1, 9)])
    # The built-in model knows no words: what it says is digits, graded as answers in words are.
    graded = []

    def grade(problems, completions, truncated=None):
        graded.extend(problem.answer for problem in problems)
        return [Grade(n % 2 == 0, None, "ok") for n in range(len(problems))]

    of_file = problem_set.benchmark_of_file

    def customs(path, reward):
        return replace(of_file(path, reward), prompt=lambda _, question: question, grade=grade)

    monkeypatch.setattr(problem_set, "benchmark_of_file", customs)
    status, out, _ = call(
        main,
        f"--objective grpo --online --data {problems} --batch-size 8 --online-samples 4 --steps 2 "
        f"--online-max-new-tokens 4 --diagnose-every 1 --diagnose tokens --out run",
    )
    assert status == 0
    assert "8 problems, 2 at a time, 4 samples each" in out
    assert set(graded) <= {str(n + 2) for n in range(1, 9)}
    assert len(step_lines(tmp_path / "run")) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--online-samples 4", "--online-samples is for --online, which is not given"),
        ("--online-mixed", "--online-mixed is for --online, which is not given"),
        ("--online --batch-size 20", "--batch-size 20: must be a multiple of --online-samples 8"),
        ("--online --online-updates 0", "--online-updates 0: must be above 0"),
        ("--online --data nowhere.jsonl", "nowhere.jsonl: no such file of problems"),
        ("--online dpo", "--online dpo: not among those of --objective grpo"),
        ("--online maybe", "--objective maybe: no objective has this name"),
    ],
)
def test_mistakes_get_one_line(call, words, message):
    status, _, err = call(main, f"--objective grpo {words}")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
