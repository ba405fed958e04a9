"""The log-probs told at a run's end: of the same rows before and after, by a plain forward pass."""

import json
from dataclasses import replace

import pytest
import torch

from objectives.errors import Stopped
from tests.helpers.started_runs import session, started, trained, with_config
from tests.helpers.tiny import twin_log_probs
from train.config.settings import Config
from train.probes.fixed_rows import COUNT, fixed_rows, look_at
from train.probes.pairs import SEED
from train.run.result import comparison_table, read_result
from train.run.setup import set_up

pytestmark = pytest.mark.cpu

QUICK = Config(
    steps=2, batch_size=8, learning_rate=1e-3, warmup_steps=0, eval_problems="none"
)  # fmt: skip


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


def plainly(model, rows):
    """Return the mean log-probs of chosen and of rejected rows, row by row without padding."""
    sides = {"chosen": [], "rejected": []}
    for row in rows.units.flatten().tolist():
        prompt, completion, _ = rows.data.tokens[row]
        with torch.no_grad():
            mean = twin_log_probs(model, prompt, completion).mean().item()
        sides["chosen" if rows.data.reward[row] > 0 else "rejected"].append(mean)
    return {side: sum(means) / len(means) for side, means in sides.items() if means}


@pytest.mark.parametrize(
    ("name", "changes"),
    [("sft", {}), ("kto", {}), ("fpa_dpo", {"lora_rank": 2}), ("fpa", {"share_prefixes": "off"})],
)
def test_the_table_tells_them_of_the_same_rows(setup_of, name, changes, tmp_path):
    setup = setup_of(replace(QUICK, **changes))
    if cached := "lora_rank" in changes:
        setup = with_config(setup, reference_cache=str(tmp_path / "states"))
    run, result = trained(session(setup, name, tmp_path / "run"))
    assert (run.policies.states is not None) == cached
    rows = fixed_rows(setup.data)
    before, after = (plainly(m, rows) for m in (setup.base.model.model, run.policies.policy.model))
    table = [line.rsplit(maxsplit=2) for line in result.table().splitlines()]
    for side, (label, *shown) in zip(("chosen", "rejected"), table[1:], strict=True):
        assert label == f"mean log-prob, {COUNT} fixed {side}"
        assert [float(x) for x in shown] == pytest.approx([before[side], after[side]], abs=1e-4)
        assert before[side] != pytest.approx(after[side], abs=1e-4)
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if x.get("probe/seed") == SEED] == [0, 2]
    again = read_result(name, tmp_path / "run")
    assert again.table() == result.table()
    assert f"{after['rejected']:.3f}" in comparison_table([again])
    assert result.metrics()["probe/rows/chosen"].dropna().tolist() == [COUNT, COUNT]


def test_rows_are_of_both_sides_and_of_many_prompts_and_always_the_same(setup):
    rows = fixed_rows(setup.data)
    index = rows.units.flatten()
    assert len(index.unique()) == 2 * COUNT
    assert len(setup.data.group[index].unique()) == COUNT
    assert int((setup.data.reward[index] > 0).sum()) == COUNT
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert torch.equal(fixed_rows(setup.data).units, rows.units)
    assert torch.equal(torch.get_rng_state(), state)


def row(n, right, **more):
    return {"prompt": f"{n}+1=", "completion": f"{n + right}", "reward": float(right), **more}


KINDS = {
    "pairs": ([{"prompt": f"{n}+1=", "chosen": "#1", "rejected": "#2"} for n in range(3)], (3, 3)),
    "several pairs of a prompt": ([row(1, 1), row(1, 0), row(1, 0, completion="7")], (1, 2)),
    "no pairs": ([row(1, 1), row(2, 1), row(3, 0)], (2, 1)),
    "correct ones alone": ([row(n, 1) for n in range(4)], (4, 0)),
    "incorrect ones alone": ([row(n, 0) for n in range(4)], (0, 4)),
    "many": ([row(n, 1) for n in range(COUNT + 9)], (COUNT, 0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_data_of_every_kind(kind, write_rows, tmp_path):
    written, counts = KINDS[kind]
    setup = set_up(replace(QUICK, data=write_rows(written)))
    name = "reinforce" if counts[1] else "sft"
    run = started(setup, name, tmp_path / "run")
    found = look_at(fixed_rows(setup.data), run.updater.gradients)
    sides = dict(zip(("chosen", "rejected"), counts, strict=True))
    assert {side: found[f"probe/rows/{side}"] for side in sides} == sides
    expected = plainly(setup.base.model.model, fixed_rows(setup.data))
    told = {side: found[f"probe/mean_logps/{side}"] for side in sides if sides[side]}
    assert told == pytest.approx(expected, abs=1e-5)
    run._begin()
    run.step(1)
    run._probe(1)
    table = run._end().table()
    for side, count in sides.items():
        assert (f"mean log-prob, {count} fixed {side}" in table) == bool(count)


def test_how_many_at_a_time_does_not_matter(setup, tmp_path):
    rows, found = fixed_rows(setup.data), []
    for changes in ({"micro_batch_size": 3}, {"tokens_per_microbatch": 10_000}):
        run = started(with_config(setup, **changes), "sft", tmp_path / str(len(found)))
        found.append(look_at(rows, run.updater.gradients))
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def stop_before(planned, step):
    make = planned.run

    def stopping():
        run = make()
        own = run.step

        def take(at):
            if at == step:
                run.save(at - 1)
                raise Stopped("stopped", 15)
            own(at)

        run.step = take
        return run

    planned.run = stopping


def test_a_run_that_went_on_tells_what_it_began_with(setup, tmp_path):
    whole = session(setup, "fpa", tmp_path / "whole").train({})
    for name in ("stopped", "old"):
        stopped = session(setup, "fpa", tmp_path / name)
        if name == "old":  # of a version that did not look
            make = stopped.run
            stopped.run = lambda make=make: replace(make(), fixed=None)
        stop_before(stopped, 2)
        with pytest.raises(Stopped):
            stopped.train({"objective": "fpa", "model": "builtin", "data": "builtin"})
        result = session(setup, "fpa", tmp_path / name).train({}, resume=True)
        if name == "stopped":
            assert result.table() == whole.table()
        else:
            ends = [line.split()[-2:] for line in whole.table().splitlines()[1:]]
            told = [line.split()[-2:] for line in result.table().splitlines()[1:]]
            assert told == [["-", after] for _, after in ends]


def test_a_run_of_before_says_less(setup, tmp_path):
    result = session(setup, "fpa", tmp_path / "run").train({})
    file = tmp_path / "run" / "metrics.jsonl"
    kept = [line for line in file.read_text().splitlines() if "probe/" not in line]
    file.write_text("".join(line + "\n" for line in kept))
    old = read_result("fpa", tmp_path / "run")
    assert len(old.history) == len(result.history)
    assert "mean log-prob" not in old.table()
