"""What diagnostics say of a run's coefficients, against autograd of the run's own objective."""

import json
from dataclasses import replace
from typing import get_args

import pandas as pd
import pytest
import torch

from diagnostics.entanglement.__main__ import main
from diagnostics.entanglement.measure import HEAD, coefficient_columns, measure_pairs
from objectives import ADVANTAGES, OBJECTIVES
from objectives.future import ApplyTo
from tests.helpers.started_runs import session, trained
from train.config.settings import Config
from train.data.micro_batches import micro_batch
from train.data.offline import OptimizerBatch
from train.models.language_model import open_model
from train.probes.checkpoint import probe_batch, seen_at
from train.probes.pairs import drawn_pairs, read_probes
from train.store.opened import load_checkpoint, open_run

pytestmark = pytest.mark.cpu

QUICK = Config(
    steps=3, batch_size=8, learning_rate=1e-3, warmup_steps=0, eval_problems="none"
)  # fmt: skip
PAIRS = 3
# Far from the defaults, so that a value that is not passed on shows.
OWN = {
    "dpo": {"beta": 0.7, "label_smoothing": 0.2}, "kto": {"beta": 0.4, "desirable_weight": 2.0},
    "rpo": {"alpha": 0.3}, "ipo": {"tau": 0.5}, "omd": {"period": 2}, "fpa_omd": {"period": 2},
    "grpo": {"period": 2, "aggregate": "token"}, "fpa_grpo": {"period": 2, "clip": 0.02},
    "fpa_dpo": {"beta": 0.7}, "fpa_ipo": {"tau": 0.5}, "fpa_kto": {"beta": 0.4},
}  # fmt: skip


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


def made(setup, name, folder, **more):
    """Train a run for some steps; return it as it is then."""
    ahead = {"lam": 0.5, "future_from": "lagged:2"} if name.startswith("fpa") else {}
    given = {**ahead, **OWN.get(name, {}), **more}
    planned = session(setup, name, folder, **given)
    return trained(planned, {"objective": name})[0]


def by_autograd(run, data, pairs, advantage, hyper):
    """Return (c_w, c_l) of each pair from the losses that a step of the run would descend."""
    objective = run.updater.gradients.spec.objective
    name = objective.advantage if advantage == "auto" else advantage
    reward = ADVANTAGES[name](data.reward, data.group)
    units = pairs.index.view(-1, 2)
    length = data.tokens.trained[pairs.index].double().mean().item()
    whole = OptimizerBatch(data, reward, units, len(units), length, {})
    divergence = run.updater.gradients.divergence(whole)
    found = []
    for unit in units:
        micro = micro_batch(data, reward, unit[None], length, divergence=divergence)
        with torch.no_grad():
            policy, batch, _ = run.policies.evaluate(micro, run.updater.lam)
        leaf = policy.clone().requires_grad_()
        objective(leaf, batch, **hyper).sum().backward()
        count = batch.mask.sum(-1)
        chosen, rejected = (leaf.grad * batch.mask).sum(-1) / count
        found.append((-chosen.item(), rejected.item()))
    return torch.tensor(found).double()


def as_said(run, data, pairs, base):
    """Return (c_w, c_l) of each pair from the run's folder alone, as the command does."""
    found = open_run(run.folder.path)
    config = Config(**{n: found.config[n] for n in ("advantage", "online", "online_updates")})
    policy = open_model(load_checkpoint(found, base.model.model, base.tokenizer))
    seen = seen_at(found, policy, base.model, config)
    assert not seen.notes
    lam = 1.0 if found.lam is None else found.lam

    def look(tokens):
        return read_probes(tokens, policy, base.model, seen.origin).log_probs(lam)

    measured = measure_pairs(policy.model, policy.head, pairs, [""] * PAIRS, HEAD, look)
    batch = probe_batch(measured, found.spec, config, data, seen)
    name = found.spec.name
    table = coefficient_columns(measured, found.spec.objective, batch, found.spec.hyper)
    chosen, ratio = (table[f"{what}_{name}_used"].to_numpy() for what in ("weight", "ratio"))
    return torch.tensor(chosen), torch.tensor(ratio)


def rewritten(run, **values):
    file = run.folder.path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def agree(run, setup, pairs, advantage, hyper):
    wanted = by_autograd(run, setup.data, pairs, advantage, hyper)
    chosen, ratio = as_said(run, setup.data, pairs, setup.base)
    torch.testing.assert_close(chosen, wanted[:, 0], rtol=2e-3, atol=1e-7)
    known = wanted[:, 0] > 0
    expected = wanted[known, 1] / wanted[known, 0]
    torch.testing.assert_close(ratio[known], expected, rtol=2e-3, atol=1e-7)
    return wanted


@pytest.mark.parametrize("name", OBJECTIVES)
def test_coefficients_are_those_that_the_run_uses(setup, name, tmp_path):
    run = made(setup, name, tmp_path / "run")
    pairs = drawn_pairs(setup.data, PAIRS, seed=3)
    hyper = dict(run.updater.gradients.spec.hyper)
    looks = name.startswith("fpa")
    for side in get_args(ApplyTo) if looks else [None]:
        own = {"apply_to": side} if looks else {}
        for advantage in ("auto", *ADVANTAGES):
            rewritten(run, advantage=advantage, **own)
            agree(run, setup, pairs, advantage, {**hyper, **own})


@pytest.mark.parametrize("more", [{"lam": "auto", "lam_horizon": 4}, {"future_from": "initial"}])
def test_lambda_and_where_the_future_policy_comes_from(setup, more, tmp_path):
    run = made(setup, "fpa", tmp_path / "run", **more)
    assert run.updater.lam != 1
    pairs = drawn_pairs(setup.data, PAIRS, seed=3)
    agree(run, setup, pairs, "auto", dict(run.updater.gradients.spec.hyper))


@pytest.mark.parametrize("updates", [1, 2])
def test_anchors_of_an_online_run(setup_of, updates, tmp_path):
    config = replace(QUICK, online=True, online_samples=4, online_updates=updates)
    setup = setup_of(config)
    run = made(setup, "grpo", tmp_path / "run", period=0)
    assert run.policies.on_policy == (updates == 1)
    pairs = drawn_pairs(setup.data, PAIRS, seed=3)
    agree(run, setup, pairs, "auto", dict(run.updater.gradients.spec.hyper))


def test_the_command_tells_them_and_its_settings(setup, tmp_path, call):
    negative = made(setup, "fpa_dpo", tmp_path / "run", apply_to="negative", future_from="initial")
    words = f"--run {tmp_path / 'run'} --pairs {PAIRS} --parameters head --seed 3 --objective "
    status, out, err = call(main, words + "fpa_dpo,dpo --out mine")
    assert status == 0, err
    table = pd.read_csv(tmp_path / "mine" / "pairs.csv").set_index("pair")
    pairs = drawn_pairs(setup.data, PAIRS, seed=3)
    hyper = dict(negative.updater.gradients.spec.hyper)
    wanted = by_autograd(negative, setup.data, pairs, "auto", hyper)
    used = table.loc[pairs.number.tolist(), "ratio_fpa_dpo_used"].to_numpy()
    torch.testing.assert_close(torch.tensor(used), wanted[:, 1] / wanted[:, 0], rtol=2e-3, atol=0)
    assert (abs(used - 1) > 0.005).all()  # both ends of dpo's ratio are 1
    shown = [line.split()[:2] for line in out.splitlines()]
    assert [words[0] for words in shown if words[1:] == ["used"]] == ["fpa_dpo"]
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert summary["hyper_parameters"]["fpa_dpo"]["apply_to"] == "negative"
    assert summary["lam"] == 0.5
    status, _, err = call(main, words + "fpa_dpo --future-from lagged:3 --out other")
    assert status == 2
    assert "--future-from is for training; here λ is set by --lam" in err


def test_what_is_not_known_of_earlier_policies_is_said(setup, tmp_path, call):
    made(setup, "fpa", tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-3" / "trainer_state.json").unlink()
    status, out, err = call(main, f"--run {tmp_path / 'run'} --pairs 2 --parameters head --out x")
    assert status == 0, err
    assert "policies of earlier steps are not known" in out
