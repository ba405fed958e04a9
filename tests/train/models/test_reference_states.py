"""The reference's states on disk: exact, whole or not there, and the run the same."""

import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import sleep

import pytest
import torch

from objectives.errors import InputError
from tests.helpers.run_folders import step_lines
from tests.helpers.started_runs import session, with_config
from tests.helpers.started_runs import trained as completed
from train.config.settings import Config
from train.data.input_rows import collate
from train.devices.choice import PLAIN, Precision
from train.models import reference_states as module
from train.models.copies import frozen_copy
from train.models.reference_states import lay_out, reference_states
from train.run.setup import set_up

pytestmark = pytest.mark.cpu

QUICK = Config(steps=3, batch_size=8, eval_problems="none", learning_rate=1e-3, warmup_steps=0)


@pytest.fixture(scope="module")
def setup(setup_of):
    return setup_of(QUICK)


@pytest.fixture(scope="module")
def few(setup):
    """Return a data set of the first trajectories."""
    encoded = setup.data
    return encoded._replace(
        tokens=encoded.tokens[:40], reward=encoded.reward[:40], group=encoded.group[:40],
        weight=encoded.weight[:40],
    )  # fmt: skip


ROWS = torch.tensor([[3, 5], [3, 20], [39, 0], [7, 8], [9, 10]])


def made(setup, few, folder, rows=ROWS, base=None, precision=PLAIN, run="run"):
    base = replace(base or setup.base.model, precision=precision)
    return reference_states(base, few, lay_out(few, rows, base), folder, folder / run)


def direct(setup, few, index):
    rows = collate([few.tokens[i] for i in index])
    with torch.no_grad():
        return setup.base.model.hidden(rows)


def test_states_are_those_of_the_reference_in_any_order(setup, few, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 120)  # several batches
    states, read = made(setup, few, tmp_path)
    for index in ([3, 5], [39, 0, 20], [8]):
        ours = states.hidden(torch.tensor(index), torch.device("cpu"))
        torch.testing.assert_close(ours, direct(setup, few, index), rtol=1e-4, atol=1e-4)
    assert read == sum(len(few.tokens[i].whole) for i in ROWS.unique().tolist())
    again, others = made(setup, few, tmp_path, run="another")
    assert others == 0
    assert made(setup, few, tmp_path)[1] == read  # started again
    assert torch.equal(again.states, states.states)


def test_of_two_commands_one_reads_and_the_other_waits(setup, few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 60)
    filling, going_on, fill = Event(), Event(), module._fill

    def slowly(*arguments):
        filling.set()
        assert going_on.wait(60)
        return fill(*arguments)

    monkeypatch.setattr(module, "_fill", slowly)
    with ThreadPoolExecutor(2) as commands:
        first = commands.submit(made, setup, few, tmp_path)
        assert filling.wait(60)
        second = commands.submit(made, setup, few, tmp_path, run="another")
        out = ""
        while "another command fills" not in out and not second.done():
            out += capsys.readouterr().out
            sleep(0.05)  # leaves the processor to them
        going_on.set()
        (states, read), (others, nothing) = first.result(), second.result()
    assert "waiting for it" in out
    assert read > 0
    assert nothing == 0
    assert torch.equal(states.states, others.states)


def test_another_model_other_data_or_another_dtype_have_other_files(setup, few, tmp_path):
    made(setup, few, tmp_path)
    changed = frozen_copy(setup.base.model)
    with torch.no_grad():
        changed.model.model.norm.weight[3] += 1e-4
    for number, other in enumerate(
        ({"base": changed}, {"rows": ROWS[:3]},
         {"precision": Precision("cpu", torch.bfloat16)}), 2,
    ):  # fmt: skip
        states, read = made(setup, few, tmp_path, **other)
        assert read > 0
        assert len(list(tmp_path.glob("*.states"))) == number
    assert states.states.dtype == torch.bfloat16
    ours = states.hidden(torch.tensor([3, 5]), torch.device("cpu"))
    torch.testing.assert_close(ours.float(), direct(setup, few, [3, 5]), rtol=0.1, atol=0.2)


def test_it_goes_on_where_it_was_interrupted(setup, few, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 120)
    whole, tokens = made(setup, few, tmp_path / "whole")
    flush, calls = module.flush, []

    def interrupted(path):
        flush(path)
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "flush", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made(setup, few, tmp_path / "parts")
    assert not list((tmp_path / "parts").glob("*.states"))
    states, counted = made(setup, few, tmp_path / "parts")
    assert len(calls) == 3  # of several batches
    assert counted == tokens  # those of the interrupted command too
    assert torch.equal(states.states, whole.states)
    left = {path.suffix for path in (tmp_path / "parts").iterdir()}
    assert left == {".states", ".json", ".lock"}


@pytest.mark.parametrize("spoil", ["cut", "changed"])
def test_a_file_that_is_not_whole_is_refused(setup, few, tmp_path, spoil):
    made(setup, few, tmp_path)
    (file,) = tmp_path.glob("*.states")
    content = file.read_bytes()
    file.write_bytes(content[:-8] if spoil == "cut" else b"\1" + content[1:])
    with pytest.raises(InputError, match=r"is not what was written there .* remove it"):
        made(setup, few, tmp_path)


def test_a_disk_without_room_is_told_before_anything_is_written(setup, few, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(1, 1, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"take 0\.00 GB and 0\.00 GB are free: name a folder"):
        made(setup, few, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".lock"}


def one_pair(setup):
    """Return a setup whose data are one pair, again and again."""
    pairs = setup.data.all_pairs()[:1].repeat(12, 1)
    return replace(setup, data=setup.data._replace(pairs=pairs))


def trained(setup, folder, name="fpa_dpo", last=False, **changes):
    changes = {"out": str(folder), **changes}
    run, _ = completed(session(with_config(setup, **changes), name, folder, last))
    return run


@pytest.mark.parametrize("name", ["fpa_dpo", "dpo"])
def test_a_run_with_it_is_the_run_without(setup, tmp_path, name):
    few = one_pair(setup)
    kept = str(tmp_path / "kept")
    off = trained(few, tmp_path / "off", name, reference_cache="off")
    on = trained(few, tmp_path / "on", name, reference_cache=kept)
    for one, other in zip(off.history, on.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4, abs=1e-6)
    computed = off.updater.cost.tokens_trained - off.updater.cost.tokens_shared
    assert on.updater.cost.tokens_frozen < off.updater.cost.tokens_frozen == computed
    assert (
        trained(few, tmp_path / "again", name, reference_cache=kept).updater.cost.tokens_frozen == 0
    )
    assert len(list(Path(kept).glob("*.states"))) == 1


@pytest.mark.parametrize(
    "moment", ["train.models.reference_states.flush", "train.run.step.Updater.update"]
)
def test_a_run_killed_before_its_first_checkpoint_costs_what_it_had_cost(
    setup, tmp_path, monkeypatch, moment
):
    """Killed while the cache is filled, or after that: started again it counts all of it."""
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 1)
    few, out = one_pair(setup), tmp_path / "run"
    whole = trained(few, tmp_path / "whole", reference_cache=str(tmp_path / "one"))

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moment, killed)
        with pytest.raises(KeyboardInterrupt):
            trained(few, out, reference_cache=str(tmp_path / "other"))
    shutil.rmtree(out)
    again = trained(few, out, reference_cache=str(tmp_path / "other"))
    assert again.updater.cost.tokens_frozen == whole.updater.cost.tokens_frozen > 0
    assert again.updater.cost.flops == whole.updater.cost.flops


def test_auto_is_for_runs_that_read_their_data_twice(setup, tmp_path):
    few = one_pair(setup)
    for number, place in enumerate(("a/run", "several/lr/seed")):
        # Beside a run; at the top where there are several, which share it.
        out = str(tmp_path / place) if not number else str(tmp_path / "several")
        trained(few, tmp_path / place, out=out)
        top = place.split("/")[0]
        assert list((tmp_path / top / "reference-cache").glob("*.states"))
    for name, of, objective, changes in (
        ("b", setup, "fpa_dpo", {}),  # thousands of pairs
        ("c", few, "sft", {}),  # has no reference
        ("d", few, "fpa_dpo", {"reference_cache": "off"}),
    ):
        folder = tmp_path / name / "run"
        trained(of, folder, objective, out=str(folder), **changes)
        assert not (tmp_path / name / "reference-cache").exists()


def test_the_last_run_trains_the_base_itself(tmp_path):
    setup = set_up(QUICK)
    few = one_pair(setup)
    before = trained(few, tmp_path / "copy")
    last = trained(few, tmp_path / "last", last=True)
    assert before.policies.policy.model is not few.base.model.model
    assert last.policies.policy.model is few.base.model.model
    assert last.policies.reference is None
    losses = [[line["loss"] for line in step_lines(tmp_path / n)] for n in ("copy", "last")]
    assert losses[0] == losses[1]


def test_not_online():
    with pytest.raises(InputError, match="--reference-cache here: not with --online"):
        Config(online=True, reference_cache="here")
