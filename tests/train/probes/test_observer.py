"""`--diagnose-every`: the numbers are what they say, and the run ends in the same bits."""

import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch

from diagnostics.curves.plots import plot_diagnoses
from diagnostics.entanglement.gram import pair_grams
from diagnostics.entanglement.pair_products import products
from diagnostics.extrapolation.forecast import best_lam, forecast_errors
from objectives.errors import InputError, command_line
from tests.helpers.started_runs import logits, session, started, trained, with_config
from train.__main__ import main
from train.config.settings import Config
from train.models.copies import frozen_copy
from train.probes.observer import Observer
from train.sampling.evaluator import Scores

QUICK = Config(
    steps=5, batch_size=8, learning_rate=1e-3, warmup_steps=0, eval_problems="none",
    diagnose_every=2, horizons="2", diagnose_pairs=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


@pytest.mark.parametrize("name", ["fpa_dpo", "kto"])
def test_a_run_with_diagnostics_ends_in_the_same_bits(setup, name, tmp_path):
    off = {"diagnose_every": 0, "horizons": None, "diagnose_pairs": None}
    given = {"future_from": "lagged:2", "lam": "auto", "lam_horizon": 2} if name != "kto" else {}
    runs, drawn = {}, {}
    for kind, where in (("with", setup), ("without", with_config(setup, **off))):
        torch.manual_seed(0)
        runs[kind], _ = trained(session(where, name, tmp_path / kind, **given))
        drawn[kind] = torch.rand(3)
    one, other = runs["with"], runs["without"]
    assert (tmp_path / "with" / "diagnostics.csv").exists()
    assert not (tmp_path / "without" / "diagnostics.csv").exists()
    assert one.history == other.history
    assert torch.equal(drawn["with"], drawn["without"])
    models = (run.policies.policy.model for run in (one, other))
    for mine, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(mine, theirs)
    assert not one.policies.policy.model.training


@pytest.mark.cpu
def test_the_rows_are_what_one_computes_directly(setup, tmp_path):
    run = started(setup, "fpa_dpo", tmp_path / "run", lam=1.5)
    rows = run.observer.probes.micro.rows
    policies = [frozen_copy(run.policies.policy)]
    run.observer.observe(0, run.updater.lam)
    for step in range(1, 5):
        run.step(step)
        run.observer.observe(step, run.updater.lam)
        policies.append(frozen_copy(run.policies.policy))
    table = pd.read_csv(tmp_path / "run" / "diagnostics.csv")
    assert list(table) == ["step", "quantity", "reference", "horizon", "lam", "value"]
    assert table["step"].isin([0, 2, 4]).all()

    def value(quantity, step, **where):
        found = table[(table["quantity"] == quantity) & (table["step"] == step)]
        for column, wanted in where.items():
            found = found[found[column] == wanted]
        (number,) = found["value"]
        return number

    path = [logits(policy, rows) for policy in policies]
    own = path[4].log_softmax(-1).gather(-1, rows.targets[:, None]).squeeze(-1)
    rows_of = [own[rows.row == n] for n in range(6)]
    for side, start in (("chosen", 0), ("rejected", 1)):
        mean = torch.stack([rows_of[n].mean() for n in range(start, 6, 2)]).mean()
        assert value(f"mean_log_prob/{side}", 4) == pytest.approx(mean.item(), abs=1e-5)
        low = torch.cat(rows_of[start::2]).exp().float().quantile(0.1).item()
        measured = value(f"token_probability_quantile_10/{side}", 4)
        assert measured == pytest.approx(low, abs=1e-5)
    # Scored at step 4, forecast at step 2.
    errors = forecast_errors(path[0], path[2], path[4], [0.0, 1.0])
    for lam, error in zip((0.0, 1.0), errors.tolist(), strict=True):
        assert value("forecast_error", 2, lam=lam, horizon=2) == pytest.approx(error, rel=1e-3)
    assert value("best_lam", 2) == pytest.approx(best_lam(path[0], path[2], path[4]), rel=1e-2)
    # dpo's coefficients are equal, so its ratio is 1 everywhere; cosines by plain autograd.
    assert value("coefficient_ratio/now", 4) == pytest.approx(1, abs=1e-5)
    assert value("coefficient_ratio/ahead", 4, lam=1.5) == pytest.approx(1, abs=1e-5)
    gradients = run.observer._gradients
    model = policies[4].model.requires_grad_(True)
    plain = products(
        pair_grams(model, *gradients, dict(model.named_parameters()), route="backward")
    )
    assert value("cosine", 4) == pytest.approx(plain.cosine.mean().item(), abs=1e-4)
    low, high = plain.window
    inside = ((low < 1) & (high > 1)).float().mean().item()
    assert value("inside_window/used", 4) == value("regime/ideal", 4) == pytest.approx(inside)
    parts = table[(table["step"] == 4) & table["quantity"].str.startswith("cosine_part/")]
    assert parts["value"].sum() == pytest.approx(value("cosine", 4), abs=1e-5)


@pytest.mark.parametrize("name", ["sft", "kto", "simper", "omd", "grpo", "fpa_rpo", "fpa_omd"])
def test_every_objective_can_be_watched(setup, name, tmp_path):
    run = started(setup, name, tmp_path / "run")
    run.observer.observe(0, run.updater.lam)
    table = pd.read_csv(tmp_path / "run" / "diagnostics.csv").set_index("quantity")["value"]
    assert table.filter(like="regime/").sum() == pytest.approx(1)
    assert {"inside_window/now", "inside_window/ahead", "mean_log_prob/chosen"} <= set(table.index)


def test_problems_gained_and_forgotten(tmp_path, setup):
    run = started(setup, "fpa", tmp_path / "run")
    for step, solved in enumerate([(1, 1, 0, 0), (1, 0, 1, 1)]):
        kept = [{"problem": n, "mode": "greedy", "correct": bool(x)} for n, x in enumerate(solved)]
        Observer.evaluated(run.observer, step, Scores(None, None, kept))
    table = pd.read_csv(tmp_path / "run" / "diagnostics.csv")
    assert dict(zip(table["quantity"], table["value"], strict=True)) == {
        "problems/gained": 2, "problems/forgotten": 1,
    }  # fmt: skip


MISTAKES = [
    ({"diagnose": "tokens"}, "--diagnose tokens: say how often with --diagnose-every N"),
    ({"horizons": "10"}, "--horizons 10: say how often with --diagnose-every N"),
    ({"diagnose_every": -1}, "--diagnose-every -1: must be 0 or more"),
    ({"diagnose_every": 5, "diagnose": "tokens,colour"}, "--diagnose colour: choose from entang"),
    ({"diagnose_every": 5, "horizons": "12"}, "must be multiples of --diagnose-every, which is 5"),
    ({"diagnose_every": 5, "horizons": "ten"}, "--horizons ten: expected steps with commas"),
    ({"diagnose_every": 5, "horizons": "5", "diagnose": "tokens"}, "nothing is forecast without"),
    ({"diagnose_every": 5, "diagnose_pairs": 1}, "--diagnose-pairs 1: must be 2 or more"),
]


@pytest.mark.parametrize(("flags", "message"), MISTAKES)
def test_bad_flags_are_named(flags, message):
    with pytest.raises(InputError, match=message):
        Config(**flags)


def test_a_lag_that_does_not_fit_and_data_without_pairs_are_named(setup, tmp_path):
    with pytest.raises(InputError, match="--diagnose-every 2: must divide the lag of --future-fr"):
        session(setup, "fpa", tmp_path / "run", future_from="lagged:3")
    data = setup.data._replace(reward=torch.ones_like(setup.data.reward))
    alone = replace(setup, data=data)
    with pytest.raises(InputError, match="of which the data have none"):
        session(alone, "sft", tmp_path / "run")


def test_the_command_draws_the_diagnostics(monkeypatch, capsys, tmp_path):
    words = "--objective fpa --steps 3 --batch-size 8 --eval-limit 3 --eval-samples 0 " \
            "--eval-every 0 --diagnose-every 1 --diagnose-pairs 2"  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", *words.split()])
    command_line(main)
    assert "runs/fpa/plots/diagnostics.png" in capsys.readouterr().out
    picture = tmp_path / "runs" / "fpa" / "plots" / "diagnostics.png"
    assert picture.stat().st_size > 20_000
    assert "plots/diagnostics.png" in (tmp_path / "runs" / "fpa" / "README.md").read_text()


def test_runs_side_by_side(setup, tmp_path):
    folders = {}
    for name in ("dpo", "fpa", "sft"):
        where = setup
        if name == "sft":  # watched less: only what is common is compared
            where = with_config(setup, diagnose="tokens", horizons=None)
        session(where, name, tmp_path / name).train({})
        folders[name] = tmp_path / name
    picture = plot_diagnoses(folders, tmp_path / "both.png")
    assert picture.stat().st_size > 40_000
    assert plot_diagnoses({"dpo": folders["dpo"]}, tmp_path / "one.png") is None
    assert not (tmp_path / "one.png").exists()


@pytest.mark.parametrize("name", ["fpa_dpo", "dpo"])
def test_a_look_reads_the_probes_once_and_the_reference_only_at_the_first(setup, name, tmp_path):
    where = with_config(setup, diagnose="extrapolation,tokens")
    run = started(where, name, tmp_path / "run")
    policy, base = run.policies.policy.model, setup.base.model.model
    calls = {"policy": 0, "base": 0}

    def counted(what):
        def hook(*_):
            calls[what] += 1

        return hook

    hooks = [
        model.get_submodule(model.base_model_prefix).register_forward_hook(counted(what))
        for what, model in (("policy", policy), ("base", base))
    ]
    assert policy is not base
    for step, read in ((0, 1), (2, 2), (4, 3)):
        run.observer.observe(step, run.updater.lam)
        assert calls == {"policy": read, "base": 1}
    for hook in hooks:
        hook.remove()
