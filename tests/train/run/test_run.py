"""The harness on the built-in task: accumulation, determinism, learning, the run folder."""

import json
import resource
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from objectives import OBJECTIVES
from objectives.errors import InputError
from tests.helpers.started_runs import session, started, trained, with_config
from train.config.settings import Config
from train.learning.schedule import rate_factor
from train.models import language_model
from train.models.load import load_model
from train.run.setup import set_up
from train.store.folder import read_metrics
from train.store.parts import read_state

QUICK = Config(steps=2, batch_size=8, eval_limit=6, eval_samples=1, eval_every=0)
# One of each kind: what a pair, a row, the optimizer batch or an anchor contributes.
KINDS = ["dpo", "fpa", "kto", "grpo", "omd", "sft", "fpa_rpo"]


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


def gradients(run, **how):
    batcher = run.updater.gradients.batcher
    batcher.rows_at_once, batcher.budget.tokens = how.get("rows_at_once"), how.get("tokens_at_once")
    metrics = run.updater.gradients.of(run.data.draw(1), run.updater.lam)
    parameters = dict(run.policies.policy.model.named_parameters())
    grads = {name: p.grad.clone() for name, p in parameters.items()}
    run.updater.optimizer.zero_grad()
    return grads, metrics


@pytest.mark.cpu
@pytest.mark.parametrize("name", KINDS)
def test_micro_batches_change_nothing(name, setup, tmp_path):
    given = {"aggregate": "token"} if name == "grpo" else {}
    run = started(with_config(setup, batch_size=24), name, tmp_path / "run", **given)
    torch.manual_seed(0)
    with torch.no_grad():  # away from the reference, where every term counts
        for parameter in run.policies.policy.model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    whole, metrics = gradients(run)
    # The last of the tens is a smaller one.
    for how in ({"rows_at_once": 2}, {"rows_at_once": 10}, {"tokens_at_once": 300}):
        parts, same = gradients(run, **how)
        for key, gradient in whole.items():
            scale = gradient.abs().max().item()
            torch.testing.assert_close(parts[key], gradient, rtol=1e-3, atol=1e-4 * scale)
        assert same.tokens == metrics.tokens
        assert same.values.pop("padding") < metrics.values["padding"]
        same.values["padding"] = metrics.values["padding"]
        assert same.values == pytest.approx(metrics.values, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_starts_as_it_must_and_steps(name, setup, tmp_path):
    run = started(setup, name, tmp_path / "run")
    run.check_start()
    before = [p.clone() for p in run.policies.policy.model.parameters()]
    run.step(1)
    run.step(2)
    after = list(run.policies.policy.model.parameters())
    assert any(not torch.equal(b, a) for b, a in zip(before, after, strict=True))
    line = read_metrics(run.folder.path)[-1]
    assert line["step"] == 2
    assert {"loss", "grad_norm", "entropy", "num_tokens", "logps/chosen"} <= set(line)


def test_layers_computed_again_give_the_same_gradients_and_are_only_then(setup, tmp_path):
    plain, _ = gradients(started(setup, "fpa_dpo", tmp_path / "plain"))
    run = started(with_config(setup, gradient_checkpointing=True), "fpa_dpo", tmp_path / "run")
    calls = []
    layer = run.policies.policy.model.model.layers[0]
    layer.mlp.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    run.evaluator.evaluate(run.policies.policy)  # leaves no mode behind
    assert calls
    assert not any(calls)
    calls.clear()
    again, _ = gradients(run)
    assert calls == [True, True]  # forward, and again in the backward pass
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient)


def test_compiled_models_train_the_same(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(language_model, "COMPILER", "eager")  # traced, and nothing to wait for
    apart = with_config(set_up(QUICK), compile=True)  # its base is compiled too
    runs = [
        started(where, "fpa_dpo", tmp_path / str(number))
        for number, where in enumerate((setup, apart))
    ]
    traced = []
    for run in runs:
        counters.clear()
        for step in (1, 2):
            run.step(step)
        traced.append(counters["stats"]["calls_captured"])
    assert traced[0] == 0 < traced[1]
    apart.evaluator.evaluate(runs[1].policies.policy)
    assert counters["stats"]["calls_captured"] == traced[1]  # it generates as it is written
    plain, compiled = ([line["loss"] for line in run.history] for run in runs)
    assert compiled == pytest.approx(plain, rel=1e-5)


def test_the_self_check_notices_another_reference(setup, tmp_path):
    run = started(setup, "dpo", tmp_path / "run")
    with torch.no_grad():
        run.policies.policy.model.model.norm.weight.mul_(1.01)
    with pytest.raises(InputError, match="self-check before the first step: reference log-probs"):
        run.check_start()


def test_the_self_check_notices_a_loss_that_is_not_its_own(setup, tmp_path):
    run = started(setup, "dpo", tmp_path / "run")
    gradients = run.updater.gradients
    other = replace(gradients.spec.objective, at_reference=lambda m, b, h: 0.5)
    gradients.spec = replace(gradients.spec, objective=other)
    with pytest.raises(InputError, match=r"the loss and its closed form differ by 0\.193"):
        run.check_start()


@pytest.mark.cpu
def test_a_run_leaves_its_folder(setup, tmp_path):
    planned = session(setup, "fpa", tmp_path / "run", lam=0.5)
    run, result = trained(
        planned, {"command": "python -m train", "versions": {}, "git_revision": None}
    )
    folder = tmp_path / "run"
    config = json.loads((folder / "config.json").read_text())
    assert (config["objective"], config["lam"], config["seed"]) == ("fpa", 0.5, 0)
    lines = read_metrics(folder)
    assert [line["step"] for line in lines] == [0, 0, 1, 2, 2, 2]  # of fixed rows and evaluations
    assert {"eval/greedy_accuracy_low", "eval/sampled_accuracy"} <= set(lines[-1])
    kept = [json.loads(line) for line in (folder / "eval.jsonl").read_text().splitlines()]
    assert len(kept) == 2 * 6 * 2
    assert {row["mode"] for row in kept} == {"greedy", "sampled"}
    again, _ = load_model(str(folder / "checkpoints" / "step-2"))
    for mine, theirs in zip(
        run.policies.policy.model.parameters(), again.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
    assert read_state(folder / "checkpoints" / "step-2")["optimizer"][0]
    assert [step for step, _ in result.evaluations] == [0, 2]
    assert not list(folder.rglob("*.partial"))


def test_a_checkpoint_that_does_not_fit_leaves_what_was_there(setup, tmp_path):
    run = started(setup, "fpa", tmp_path / "run")
    run.state.save(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))  # as a disk that is full
    try:
        with pytest.raises(InputError, match=r"step-2 cannot be written .* free some space"):
            run.state.save(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-1"]
    load_model(str(tmp_path / "run" / "checkpoints" / "step-1"))


def test_a_seed_fixes_a_run_and_another_changes_it(setup, tmp_path):
    def losses(seed, folder):
        run = started(with_config(setup, seed=seed), "kto", tmp_path / folder)
        for step in range(1, 4):
            run.step(step)
        return [line["loss"] for line in run.history]

    assert losses(0, "a") == losses(0, "b") != losses(1, "c")


def test_what_is_not_finite_stops_before_the_update(setup, tmp_path):
    encoded = setup.data._replace(weight=torch.full_like(setup.data.weight, 1e38))
    run = started(replace_encoded(setup, encoded), "reinforce", tmp_path / "run")
    before = [p.clone() for p in run.policies.policy.model.parameters()]
    with pytest.raises(InputError, match=r"step 1 of reinforce: loss .* stopped before the update"):
        run.step(1)
    after = run.policies.policy.model.parameters()
    assert all(torch.equal(b, a) for b, a in zip(before, after, strict=True))
    kept = json.loads((tmp_path / "run" / "bad_batch.json").read_text())
    assert kept["trajectories"] == run.data.draw(1).units.flatten().tolist()


def test_a_run_does_not_end_with_weights_that_are_not_finite(setup, tmp_path):
    folder = tmp_path / "run"
    changed = with_config(setup, steps=1, learning_rate=1e39, checkpoint_every=1, warmup_steps=0)
    with pytest.raises(
        InputError, match=r"step 1 of sft: its update left weights .*not finite, .*"
    ):
        session(changed, "sft", folder).train({})
    assert not list(folder.glob("**/*.safetensors"))
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["step"] == 0


def test_a_run_does_not_end_with_log_probs_that_are_not_finite(setup, tmp_path):
    run = started(setup, "sft", tmp_path / "run")
    run._probe(1)
    with torch.no_grad():
        run.policies.policy.model.model.norm.weight.fill_(3e38)
    run.updater.check_weights(1)
    with pytest.raises(InputError, match="step 1 of sft: log-probs are not finite any more"):
        run._probe(1)


def replace_encoded(setup, encoded):
    return replace(setup, data=encoded)


def test_forty_steps_of_fpa_teach_the_right_way(tmp_path):
    config = Config(steps=40, learning_rate=2e-5, eval_limit=100, eval_samples=0, eval_every=0)
    run = session(set_up(config), "fpa", tmp_path / "run")
    result = run.train({})
    before, after = (scores.greedy.mean for _, scores in result.evaluations)
    assert before < 0.3
    assert after > 0.6


def test_an_odd_batch_of_pairs_is_refused(setup, tmp_path):
    with pytest.raises(InputError, match="--batch-size 7: a pair is two trajectories"):
        session(with_config(setup, batch_size=7), "dpo", tmp_path / "run")


def test_schedules():
    config = Config(steps=100, warmup_steps=9, schedule="linear")
    assert rate_factor(0, config) == pytest.approx(0.1)
    assert rate_factor(9, config) == 1
    assert rate_factor(99, config) == pytest.approx(1 / 91)
    cosine = replace(config, schedule="cosine")
    assert rate_factor(9, cosine) == 1
    assert rate_factor(100, cosine) == pytest.approx(0)
    assert rate_factor(50, replace(config, schedule="constant")) == 1
