"""Held-out rows: the split, what is looked at there, epochs, and the best checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from statsmodels.stats.proportion import proportion_confint

from eval.statistics.clusters import clustered_mean, clustered_share
from objectives import OBJECTIVES
from objectives.errors import InputError
from tests.helpers.started_runs import started, with_config
from train import Config, train
from train.__main__ import main
from train.data.held_out import shared_prompts, split_by_prompt, subset
from train.probes.held_out import ACCURACIES, HeldOut
from train.run.best import Best
from train.run.plots import _in_one, plot_comparison
from train.run.result import read_result

QUICK = Config(steps=3, batch_size=8, eval_problems="none", eval_every=1, reference_cache="off",
               eval_fraction=0.01)  # fmt: skip
ROWS = [
    {"prompt": f"{n}+1=", "chosen": f"{n + 1};#{n + 1}", "rejected": f"{n + 2};#{n + 2}"}
    for n in range(8)
]


def lines_of(folder, prefix="heldout/"):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if any(name.startswith(prefix) for name in line)]


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


def test_the_interval_over_clusters_is_that_of_statsmodels():
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 12, 80)
    values = generator.normal(size=80) + 0.5 * groups
    fit = sm.OLS(values, np.ones(80)).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    sums, counts = (np.bincount(groups, w, 15) for w in (values, np.ones(80)))  # three are empty
    found = clustered_mean(sums, counts)
    assert found == pytest.approx((values.mean(), *fit.conf_int()[0]))
    alone = clustered_mean(sums[:1], counts[:1])
    assert alone.low != alone.low
    with pytest.raises(ValueError, match="no values"):
        clustered_mean(np.zeros(3), np.zeros(3))


def test_a_split_keeps_each_prompts_rows_together(setup_of):
    data = setup_of(replace(QUICK, eval_fraction=None)).data
    rest, held = split_by_prompt(data, 0.2)
    assert len(held.group.unique()) == round(0.2 * len(data.group.unique()))
    assert not set(rest.group.tolist()) & set(held.group.tolist())
    assert len(rest.tokens) + len(held.tokens) == len(data.tokens)
    assert shared_prompts(rest, held) == 0
    assert shared_prompts(data, held) == len(held.group.unique())
    rows = torch.isin(data.group, held.group.unique()).nonzero().flatten()
    for place in (0, 7, len(rows) - 1):
        assert held.tokens[place] == data.tokens[int(rows[place])]
        assert held.reward[place] == data.reward[rows[place]]
    again = split_by_prompt(data, 0.2)[1]
    assert torch.equal(again.group, held.group)
    with pytest.raises(InputError, match="of 1500 prompts it would hold out 0"):
        split_by_prompt(data, 0.0001)


def test_pairs_that_a_table_states_are_kept_where_both_rows_are(write_rows, setup_of):
    config = replace(QUICK, eval_fraction=None, data=write_rows(ROWS))
    data = setup_of(config).data
    few = subset(data, torch.tensor([2, 3, 4]))
    assert few.pairs.tolist() == [[0, 1]]
    assert few.tokens[1] == data.tokens[3]


@pytest.mark.parametrize("name", ["dpo", "fpa", "kto", "sft", "fpa_rpo"])
def test_what_is_looked_at_is_what_a_whole_batch_gives(setup, tmp_path, name):
    run = started(setup, name, tmp_path / "run")
    for step in (1, 2):
        run.step(step)
    found = run.held_out.look(run.updater.lam)
    batch, gradients = run.held_out.batch, run.held_out.gradients
    gradients.batcher.rows_at_once, gradients.batcher.budget.tokens = 10**6, None
    [micro] = gradients.batcher.micro_batches(batch, gradients.divergence(batch))
    with torch.no_grad():
        policy, own, _ = gradients.policies.evaluate(micro, run.updater.lam)
        reference = setup.base.model.log_probs(micro.rows)
        loss = OBJECTIVES[name](policy, own, **gradients.spec.hyper)
    assert found["heldout/loss"] == pytest.approx(loss.mean().item(), abs=1e-5)
    assert found["heldout/loss_low"] < found["heldout/loss"] < found["heldout/loss_high"]
    mean = policy.sum(-1) / own.mask.sum(-1)
    chosen = mean[own.reward > 0].mean().item()
    assert found["heldout/mean_logps/chosen"] == pytest.approx(chosen, abs=1e-5)
    if own.pairs is None:
        assert "heldout/rewards/accuracies" not in found
        return
    risen = (policy - reference).sum(-1)[own.pairs]
    margin = risen[:, 0] - risen[:, 1]
    beta = gradients.spec.hyper.get("beta", 1.0)
    assert found["heldout/rewards/margins"] == pytest.approx(beta * margin.mean().item(), abs=1e-4)
    share = (margin > 0).float().mean().item()
    assert found["heldout/rewards/accuracies"] == pytest.approx(share, abs=1e-6)


def test_at_the_start_ties_count_a_half_and_training_rows_are_the_rest(setup, tmp_path):
    config = replace(QUICK, out=str(tmp_path / "run"))
    result = train("dpo", config, setup=setup)
    assert [line["step"] for line in result.held_out] == [0, 1, 2, 3]
    assert result.held_out[0]["heldout/rewards/accuracies"] == 0.5
    assert result.held_out[0]["heldout/loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert result.held_out == lines_of(tmp_path / "run")
    assert "held-out loss" in result.table()
    assert "heldout/loss" in result.metrics()
    assert json.loads((tmp_path / "run/config.json").read_text())["eval_fraction"] == 0.01


def test_looks_are_timed(setup, tmp_path):
    run = started(setup, "dpo", tmp_path / "run")
    run.train()
    cost = json.loads((tmp_path / "run" / "result.json").read_text())
    assert 0 < cost["held_out_seconds"] < cost["seconds"]


def test_a_look_without_steps_has_its_picture_and_runs_beside_one_another(setup, tmp_path):
    folders = {}
    for name in ("dpo", "ipo"):
        config = replace(QUICK, steps=0, out=str(tmp_path / name))
        result = train(name, config, setup=setup)
        assert result.pictures == [tmp_path / name / "plots" / "training.png"]
        folders[name] = result.folder
    assert plot_comparison(folders, tmp_path / "both.png") == tmp_path / "both.png"
    figure = _in_one(pd.DataFrame(
        [{"step": 0, "objective": name, ACCURACIES: 0.5} for name in folders]
    ), [ACCURACIES])  # fmt: skip
    assert figure.axes[0].get_ylabel() == "held-out pairs the right way"
    assert len(figure.axes[0].lines) >= 2


def test_the_best_checkpoint_is_kept_and_named(setup, tmp_path):
    config = replace(
        QUICK, steps=8, learning_rate=2e-3, warmup_steps=0, keep_best="heldout/loss",
        keep_checkpoints=1, out=str(tmp_path / "run"),
    )  # fmt: skip
    result = train("reinforce", config, setup=setup)
    values = {line["step"]: line["heldout/loss"] for line in result.held_out if line["step"]}
    step = min(values, key=values.get)
    known = json.loads((tmp_path / "run/best.json").read_text())
    assert (known["step"], known["value"]) == (step, values[step])
    assert known["base"] == result.held_out[0]["heldout/loss"]
    kept = {path.name for path in (tmp_path / "run/checkpoints").iterdir()}
    assert kept == {f"step-{step}", "step-8"}
    assert f"after step {step}" in result.table()


@pytest.mark.parametrize("keep", [0, 1])
def test_a_resumed_run_knows_the_best(setup, tmp_path, keep):
    from tests.train.reporting.test_callbacks import Notes

    config = replace(QUICK, steps=4, keep_best="heldout/rewards/margins", keep_checkpoints=keep,
                     learning_rate=1e-4)  # fmt: skip
    for name, fail in (("whole", None), ("stopped", 3)):
        own = replace(config, out=str(tmp_path / name))
        try:
            train("dpo", own, setup=setup, callbacks=[Notes(fail_at=fail)])
        except RuntimeError:
            train("dpo", own, setup=setup, resume="always")
    whole, stopped = (tmp_path / name for name in ("whole", "stopped"))
    assert lines_of(whole) == lines_of(stopped)
    assert (whole / "best.json").read_text() == (stopped / "best.json").read_text()


class Killed(BaseException):
    """As if the process ended there."""


def test_a_kill_before_the_best_is_named_loses_nothing(setup, tmp_path, monkeypatch):
    config = replace(QUICK, steps=4, keep_best="heldout/rewards/margins", keep_checkpoints=1,
                     learning_rate=1e-4)  # fmt: skip
    train("dpo", replace(config, out=str(tmp_path / "whole")), setup=setup)
    own = replace(config, out=str(tmp_path / "killed"))
    name = Best.written

    def killed(best, step):
        if step == 3:
            raise Killed
        name(best, step)

    monkeypatch.setattr(Best, "written", killed)
    with pytest.raises(Killed):
        train("dpo", own, setup=setup)
    kept = {path.name for path in (tmp_path / "killed/checkpoints").iterdir()}
    assert kept == {"step-2", "step-3"}  # the one that best.json names is there still
    monkeypatch.setattr(Best, "written", name)
    result = train("dpo", own, setup=setup, resume="always")
    whole, killed = (tmp_path / name for name in ("whole", "killed"))
    assert (whole / "best.json").read_text() == (killed / "best.json").read_text()
    assert {path.name for path in (killed / "checkpoints").iterdir()} == {"step-4"}
    assert read_result("dpo", killed).best == result.best


def test_a_run_stopped_before_its_first_look_knows_the_base(setup, tmp_path):
    from tests.train.reporting.test_callbacks import Notes

    config = replace(QUICK, steps=4, eval_every=4, checkpoint_every=1, keep_best="heldout/loss",
                     out=str(tmp_path / "run"))  # fmt: skip
    with pytest.raises(RuntimeError):
        train("dpo", config, setup=setup, callbacks=[Notes(fail_at=3)])
    result = train("dpo", config, setup=setup, resume="always")
    assert json.loads((tmp_path / "run/best.json").read_text())["base"] == pytest.approx(np.log(2))
    assert "0.6931 before training" in result.table()


def test_a_share_keeps_its_interval_within_bounds():
    for sums, counts in (([3, 0, 0], [3, 2, 4]), ([2, 5], [2, 5]), ([0.5] * 9, [1] * 9)):
        mean, low, high = clustered_share(np.array(sums), np.array(counts))
        assert 0 <= low <= mean <= high <= 1
        assert high - low > 0.05
    generator = np.random.default_rng(0)
    values = (generator.random(400) < 0.3).astype(float)  # each a cluster: Wilson's own
    found = clustered_share(values, np.ones(400))
    expected = proportion_confint(values.sum(), 400, method="wilson")
    assert found[1:] == pytest.approx(expected, abs=1e-3)


def test_what_is_not_finite_there_stops_the_run(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(HeldOut, "look", lambda *_: {"heldout/loss": float("nan")})
    with pytest.raises(InputError, match="step 0 of dpo: log-probs are not finite any more"):
        train("dpo", replace(QUICK, out=str(tmp_path / "run")), setup=setup)


def test_epochs_come_to_steps(write_rows, setup_of, tmp_path):
    data = write_rows(ROWS)
    config = replace(QUICK, steps=Config().steps, eval_fraction=None, data=data, batch_size=6)
    for objective, epochs, steps in (("dpo", 1.0, 3), ("dpo", 0.5, 2), ("sft", 2.0, 3)):
        own = replace(config, epochs=epochs, out=str(tmp_path / f"{objective}-{epochs}"))
        assert len(train(objective, own, setup=setup_of(own)).history) == steps


@pytest.mark.parametrize("rows", ["pairs", "unpaired", "graded"])
def test_a_file_of_each_kind_is_held_out(call, write_rows, rows):
    kinds = {
        "pairs": ROWS,
        "unpaired": [{"prompt": f"{n}+1=", "completion": f"#{n}", "label": n % 2 == 0}
                     for n in range(6)],
        "graded": [{"prompt": f"{n // 2}+1=", "completion": f"#{n}", "reward": float(n % 2)}
                   for n in range(6)],
    }  # fmt: skip
    file = write_rows(kinds[rows], "held.jsonl")
    words = f"--objective kto --steps 1 --batch-size 4 --eval-problems none --eval-data {file}"
    status, out, _ = call(main, words)
    assert status == 0
    assert "held-out loss" in out
    assert ("pairs the right way" in out) == (rows != "unpaired")
    assert "held   " in out


MISTAKES = [
    ("--eval-fraction 1.5", "--eval-fraction 1.5: must be below 1"),
    ("--eval-fraction 0", "--eval-fraction 0.0: must be above 0"),
    ("--eval-fraction 0.5 --eval-data x.jsonl", "--eval-fraction 0.5: not with --eval-data"),
    ("--eval-data none.jsonl", "none.jsonl"),
    ("--epochs 0", "--epochs 0.0: must be above 0"),
    ("--epochs 2 --steps 300", "--epochs 2: not with --steps 300: give one"),
    ("--epochs 2 --steps 5", "--epochs 2: not with --steps 5"),
    ("--epochs 2 --online", "--epochs 2: not with --online"),
    ("--eval-fraction 0.5 --online", "--eval-fraction 0.5: not with --online"),
    ("--keep-best heldout/loss", "--keep-best heldout/loss: evaluations of this run have none"),
    ("--keep-best heldout/los --eval-fraction 0.1", "did you mean heldout/loss?"),
    ("--keep-best heldout/mean_logps/rejected --eval-fraction 0.1", "evaluations of this run have"),
    ("--keep-best eval/greedy_accuracy", "--keep-best eval/greedy_accuracy: evaluations of this"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_mistakes_are_one_line_before_anything_is_written(call, tmp_path, words, said):
    status, _, err = call(main, f"--objective dpo --eval-problems none {words}")
    assert status == 2
    assert said in err
    assert err.strip().count("\n") == 0
    assert not list(tmp_path.rglob("config.json"))


def test_an_edited_file_is_refused_on_resume(write_rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_rows(ROWS, "held.jsonl")
    config = replace(QUICK, eval_fraction=None, eval_data=file, checkpoint_every=1, out="run")
    train("sft", config)
    (tmp_path / "run/result.json").unlink()
    write_rows(ROWS[1:], "held.jsonl")
    with pytest.raises(InputError, match="the held-out rows"):
        train("sft", config, resume="always")


def test_with_config_a_run_shares_what_is_held_out(setup):
    assert with_config(setup, steps=1).held_out is setup.held_out
