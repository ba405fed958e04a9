"""`--lam window`: λ is the least that keeps chosen sides of probe pairs from falling."""

import itertools
import math

import pytest
import torch

from tests.helpers.started_runs import started
from train.__main__ import main as train
from train.config.settings import Config
from train.probes import window_lam
from train.probes.window_lam import grid

QUICK = Config(steps=3, batch_size=8, learning_rate=3e-4, warmup_steps=0, eval_problems="none")


def moved(run, steps):
    for step in range(1, steps + 1):
        run.step(step)
    return run.updater.auto_lam


def bounds_by_autograd(window):
    """Return ‖g_w‖² / ⟨g_w, g_l⟩ of each probe pair, one backward pass a row."""
    model, rows = window.policies.policy, window.probes.micro.rows
    parameters = list(model.model.parameters())
    sums = [], []
    for number in range(len(rows.mask)):
        with torch.enable_grad():
            for parameter in parameters:
                parameter.requires_grad_(True)
            hidden = model.hidden(rows)
            logits = model.head.logits(hidden).log_softmax(-1)
            own = rows.mask.nonzero()[:, 0] == number
            total = logits.gather(-1, rows.targets[:, None])[own].sum()
            gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        flat = torch.cat([g.flatten() for g in gradients if g is not None]).double()
        sums[number % 2].append(flat)
    found = []
    for chosen, rejected in zip(*sums, strict=True):
        inner = float(chosen @ rejected)
        found.append(float(chosen @ chosen) / inner if inner > 0 else math.inf)
    return torch.tensor(found, dtype=torch.double)


@pytest.mark.parametrize("size", [window_lam.MOST, 0], ids=["whole", "head"])
def test_the_bounds_are_those_of_plain_gradients(setup_of, tmp_path, monkeypatch, size):
    window = moved(started(setup_of(QUICK), "fpa", tmp_path / "run", lam="window"), 2)
    if size:
        expected = bounds_by_autograd(window)
        torch.testing.assert_close(window._bounds(window._read()), expected, rtol=1e-3, atol=1e-6)
    else:
        whole = window._bounds(window._read())
        monkeypatch.setattr(window_lam, "MOST", 0)
        assert not torch.allclose(window._bounds(window._read()), whole)


@pytest.mark.parametrize("name", ["fpa", "fpa_dpo"])
def test_it_is_the_least_of_the_grid_that_holds_nine_in_ten(setup_of, tmp_path, monkeypatch, name):
    run = started(setup_of(QUICK), name, tmp_path / "run", lam="window", lam_floor=0.0)
    window = moved(run, 3)
    ratios = dict(window._ratios(window._read()))
    assert list(ratios) == window.grid == grid(0.0, 6.0)
    middle = 0.5 * (ratios[window.grid[4]] + ratios[window.grid[5]])
    # As if the bound of every pair lay between two values of the grid.
    monkeypatch.setattr(window, "_bounds", lambda states: middle)
    shares = [float((ratios[lam] < middle).double().mean()) for lam in window.grid]
    wanted = next((i for i, share in enumerate(shares) if share >= 0.9), len(shares) - 1)
    assert window._wanted() == (window.grid[wanted], shares[wanted])
    monkeypatch.setattr(window, "_bounds", lambda states: torch.full_like(middle, math.inf))
    assert window._wanted() == (0.0, 1.0)
    monkeypatch.setattr(window, "_bounds", lambda states: torch.zeros_like(middle))
    assert window._wanted() == (6.0, 0.0)


def test_each_model_reads_the_pairs_once_for_all_of_the_grid(setup_of, tmp_path, monkeypatch):
    window = moved(started(setup_of(QUICK), "fpa_dpo", tmp_path / "run", lam="window"), 1)
    reads = []
    for model in (window.policies.policy, window.policies.reference):
        model.model.model.register_forward_hook(lambda module, *_: reads.append(module))
    assert len(list(window._ratios(window._read()))) == len(window.grid)
    assert len(reads) == 2 == len(set(reads))
    reads.clear()
    monkeypatch.setattr(window_lam, "MOST", 0)  # the head's gradients are of the same hidden states
    window._wanted()
    assert len(reads) == 2 == len(set(reads))


def test_it_is_smoothed_logged_and_gone_on_with(setup_of, tmp_path, monkeypatch):
    monkeypatch.setattr(window_lam, "EVERY", 2)
    wanted = iter([(4.0, 0.9), (2.0, 1.0), (1.0, 0.95)])
    run = started(setup_of(QUICK), "fpa", tmp_path / "run", lam="window", lam_smoothing=0.5)
    window = run.updater.auto_lam
    monkeypatch.setattr(window, "_wanted", lambda: next(wanted))
    lines = [run.updater.update(step) for step in range(1, 6)]
    assert [line["lam"] for line in lines] == [4.0, 4.0, 3.0, 3.0, 2.0]
    assert [line["lam_inside"] for line in lines] == [0.9, 0.9, 1.0, 1.0, 0.95]
    other = started(setup_of(QUICK), "fpa", tmp_path / "other", lam="window").updater.auto_lam
    other.load_state_dict(*window.state_dict())
    assert (other.lam, other.metrics) == (window.lam, window.metrics)
    for values in ({"lam": 7.0, "metrics": {}}, {"lam": 0.1, "metrics": {}}):
        with pytest.raises(ValueError, match="its lam is"):
            other.load_state_dict({}, values)


def test_the_grid_goes_from_floor_to_ceiling():
    assert grid(0.0, 0.25) == [0.0, 0.25]
    assert grid(2.0, 2.0) == [2.0]
    values = grid(0.5, 6.0)
    assert (values[0], values[-1]) == (0.5, 6.0)
    assert all(1 < b / a <= 1.25 + 1e-9 for a, b in itertools.pairwise(values))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lam window --future-from lagged:3", "--lam window: not with --future-from lagged:3"),
        ("--lam window --future-from constant", "--lam window: not with --future-from constant"),
        ("--lam window --lam-horizon 9", "--lam-horizon is for --lam auto"),
        ("--lam window --lam-floor 9", "--lam window: 0 <= floor <= ceiling must hold"),
        ("--lam windows", "expected a number, 0 or more, or auto, or window"),
    ],
)
def test_what_cannot_be_is_refused(call, words, message):
    status, _, said = call(train, f"--objective fpa --steps 2 --eval-problems none {words}")
    assert status == 2
    assert message in said
