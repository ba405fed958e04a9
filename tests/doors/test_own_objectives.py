"""An objective of one's own at every door: trained, gone on with, diagnosed, compared."""

import json
import sys

import pytest

from diagnostics.entanglement.__main__ import main as entanglement
from diagnostics.extrapolation.__main__ import main as extrapolation
from eval.compare.__main__ import main as compare
from objectives import OBJECTIVES
from objectives.__main__ import main as zoo
from train.__main__ import main as train

SOURCE = """from objectives import per_trajectory
import torch
@per_trajectory("reward")
def mine(policy, batch, *, scale: float = 1.0):
    '''Weigh the mean probability.

    scale: of the loss.'''
    mean = torch.where(batch.mask, policy, 0).sum(-1) / batch.mask.sum(-1)
    return -scale * batch.reward * mean.exp()
"""
QUICK = "--steps 4 --batch-size 8 --eval-limit 4 --eval-samples 0 --checkpoint-every 1"


@pytest.fixture(autouse=True)
def _own(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    known = dict(OBJECTIVES)
    yield
    OBJECTIVES._entries.clear()
    OBJECTIVES._entries.update(known)


def test_a_run_of_it_is_gone_on_with_and_looked_at_afterwards(call, tmp_path):
    how = f"--objective mine.py:fpa_mine {QUICK} --out run"
    assert call(train, how)[0] == 0
    (tmp_path / "run" / "result.json").unlink()
    status, _, said = call(train, f"{how} --resume")
    assert status == 0, said
    for main, words in (
        (entanglement, "--run run --pairs 2 --parameters head --out pairs"),
        (extrapolation, "--run run --out ahead"),
    ):
        status, _, said = call(main, words)
        assert status == 0, said

    (tmp_path / "mine.py").write_text(SOURCE.replace("-scale", "-2 * scale"))
    (tmp_path / "run" / "result.json").unlink()
    status, _, said = call(train, f"{how} --resume")
    assert status == 2
    assert "objective" in said
    assert len(said.strip().splitlines()) == 1


def test_runs_of_one_name_and_other_sources_are_not_compared(call, tmp_path):
    for number, seed in enumerate((0, 1)):
        (tmp_path / "mine.py").write_text(SOURCE.replace("scale *", f"{number + 1} * scale *", 1))
        words = f"--objective mine.py:mine {QUICK} --seed {seed} --out runs/{number}"
        assert call(train, words)[0] == 0
    status, _, said = call(compare, "runs")
    assert status == 2
    assert "mine.py:mine" in said
    assert len(said.strip().splitlines()) == 1


def test_two_that_would_have_one_folder_are_refused(call, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.py").write_text(SOURCE)
    status, _, said = call(train, f"--objective mine.py:mine,other/mine.py:mine {QUICK} --out runs")
    assert status == 2
    assert "mine.mine" in said
    assert not (tmp_path / "runs").exists()


def test_a_package_names_its_own(call, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "theirs-1.0.dist-info").mkdir(parents=True)
    (site / "theirs_losses.py").write_text(SOURCE)
    (site / "theirs-1.0.dist-info" / "METADATA").write_text("Name: theirs\nVersion: 1.0\n")
    (site / "theirs-1.0.dist-info" / "entry_points.txt").write_text(
        "[objective_zoo.objectives]\ntheirs = theirs_losses:mine\n"
    )
    assert call(train, f"--objective theirs {QUICK} --out a")[0] == 2
    monkeypatch.syspath_prepend(str(site))
    status, _, said = call(train, f"--objective theirs,fpa_theirs --scale 2 {QUICK} --out runs")
    assert status == 0, said
    config = json.loads((tmp_path / "runs" / "fpa_theirs" / "config.json").read_text())
    assert (config["objective"], config["scale"]) == ("fpa_theirs", 2.0)
    assert config["digests"]["objective"]
    assert call(zoo, "theirs")[0] == 0
    sys.modules.pop("theirs_losses")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SOURCE.replace("scale: float", "period: float").replace("scale *", "period *"), "period"),
        (SOURCE.replace("scale: float", "apply_to: float").replace("scale *", "1 *"), "apply_to"),
        (SOURCE.replace("scale: float", "learning_rate: float").replace("scale *", "1 *"),
         "learning_rate"),
        (SOURCE.replace("scale: float", "seed: float").replace("scale *", "1 *"), "seed"),
        (SOURCE.replace("scale: float", "list: float").replace("scale *", "1 *"), "list"),
    ],
)  # fmt: skip
def test_names_that_are_taken_are_refused(call, tmp_path, source, message):
    (tmp_path / "mine.py").write_text(source)
    status, _, said = call(train, f"--objective mine.py:mine {QUICK} --out run")
    assert status == 2
    assert message in said
    assert len(said.strip().splitlines()) == 1
