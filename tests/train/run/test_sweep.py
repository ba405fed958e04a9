"""`--seeds` and `--learning-rates`: one run for each, what is done is skipped."""

import json
import shutil
from functools import partial

import pytest

from tests.helpers.run_folders import step_lines
from train.__main__ import main
from train.run.session import Session
from train.store.folder import RunFolder

SWEEP = (
    "--objective sft,dpo --seeds 0,1 --learning-rates 1e-4,1e-3 --steps 1 --batch-size 4 "
    "--eval-problems none --out sweep"
)


@pytest.fixture
def train(call):
    return partial(call, main)


def test_a_sweep_makes_every_run_and_skips_what_is_done(train, tmp_path):
    status, out, _ = train(SWEEP)
    assert status == 0
    assert "python -m eval.compare sweep" in out
    folders = sorted(path.parent for path in (tmp_path / "sweep").rglob("result.json"))
    names = [str(folder.relative_to(tmp_path / "sweep")) for folder in folders]
    assert names == [
        f"{name}/lr-{rate}/seed-{seed}"
        for name in ("dpo", "sft") for rate in ("0.0001", "0.001") for seed in (0, 1)
    ]  # fmt: skip
    settings = [json.loads((folder / "config.json").read_text()) for folder in folders]
    assert [(s["learning_rate"], s["seed"]) for s in settings[:3]] == [
        (1e-4, 0), (1e-4, 1), (1e-3, 0),
    ]  # fmt: skip
    before = {folder: (folder / "metrics.jsonl").read_bytes() for folder in folders}
    for folder in folders[2:4]:  # as if interrupted, one before its first checkpoint
        (folder / "result.json").unlink()
    shutil.rmtree(folders[3] / "checkpoints")
    status, out, _ = train(SWEEP)
    assert status == 0
    assert "6 of 8 runs are done already" in out
    assert not folders[2].with_name("seed-0.unfinished-1").exists()
    assert (folders[3].with_name("seed-1.unfinished-1") / "metrics.jsonl").exists()
    # The same seed gives the same run again, and the others were not touched.
    for folder in folders:
        assert (folder / "metrics.jsonl").read_bytes() == before[folder]
        assert (folder / "result.json").exists()


def test_two_commands_share_a_sweep(train, tmp_path, monkeypatch):
    """One holds a run while this one comes by, and finishes another before this one gets to it."""
    first, third = (tmp_path / f"sweep/sft/lr-0.001/seed-{seed}" for seed in (0, 2))
    quick = "--objective sft --steps 1 --batch-size 4 --eval-problems none --out sweep "
    quick += "--learning-rates 1e-3 "
    train_run = Session.train

    def by_others(run, *arguments, **options):
        if not third.exists():
            third.mkdir(parents=True)
            config = {
                **json.loads(json.dumps(vars(run.setup.config))),
                "objective": "sft",
                "seed": 2,
            }
            (third / "config.json").write_text(json.dumps(config))
            (third / "result.json").write_text("{}")
        return train_run(run, *arguments, **options)

    monkeypatch.setattr(Session, "train", by_others)
    with RunFolder(first).locked():
        status, out, _ = train(quick + "--seeds 0,1,2")
    assert status == 0
    assert "another command is at it" in out
    assert "done meanwhile" in out
    assert not first.exists()
    assert sorted(path.name for path in third.iterdir()) == ["config.json", "result.json"]
    assert (third.with_name("seed-1") / "result.json").exists()


def test_runs_of_a_sweep_differ_by_seed(train, tmp_path):
    train(SWEEP)
    losses = [
        step_lines(tmp_path / f"sweep/sft/lr-0.001/seed-{seed}")[0]["loss"] for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_a_run_made_before_a_setting_came_is_known_again(train, tmp_path):
    quick = "--objective sft --steps 1 --batch-size 4 --eval-problems none --seeds 0 --out sweep"
    assert train(quick)[0] == 0
    file = tmp_path / "sweep/sft/lr-1e-05/seed-0/config.json"
    config = json.loads(file.read_text())
    del config["share_prefixes"]
    file.write_text(json.dumps(config))
    assert "1 of 1 runs are done already" in train(quick)[1]
    assert train(quick + " --share-prefixes off")[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seeds 0,x", "--seeds 0,x: expected numbers with commas between, as 0,1,2"),
        ("--learning-rates -1", "--learning-rates -1: expected numbers with commas between"),
        ("--learning-rates 0", "--learning-rate 0.0: must be above 0"),
        ("--seeds 0 --steps 2", "seed-0 holds a run with --steps 1, not 2: name another folder"),
    ],
)
def test_mistakes_get_one_line(train, words, message):
    quick = "--objective sft --steps 1 --batch-size 4 --eval-problems none --out sweep "
    assert train(quick + "--seeds 0")[0] == 0
    status, _, err = train(quick + words)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_run_with_other_hyper_parameters_is_not_done(train):
    quick = "--objective dpo --steps 1 --batch-size 4 --eval-problems none --seeds 0 --out sweep"
    assert train(f"{quick} --beta 0.2")[0] == 0
    assert "1 of 1 runs are done already" in train(f"{quick} --beta 0.2")[1]
    status, _, err = train(quick)
    assert status == 2
    assert "holds a run with --beta 0.2, not 0.1: name another folder" in err
