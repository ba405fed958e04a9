"""The picture of forecasts shows the numbers of the table."""

import numpy as np
import pandas as pd
import pytest
import torch

from diagnostics.extrapolation.plot import draw_forecasts
from diagnostics.extrapolation.ring import ProbeRing
from diagnostics.extrapolation.score import frame
from diagnostics.extrapolation.snapshot import Snapshot


@pytest.fixture(scope="module")
def table():
    ring = ProbeRing(5, (5, 10), lags=(None, 10), lams=(0.5, 1.0, 2.0))
    generator = torch.Generator().manual_seed(0)
    start, straight = torch.randn(2, 6, 5, generator=generator)
    scores = []
    for step in range(0, 51, 5):
        noise = 0.02 * torch.randn(6, 5, generator=generator)
        scores += ring.push(step, Snapshot(start + step / 50 * straight + noise))
    return frame(scores)


def test_the_lines_are_the_table_s(table, tmp_path):
    figure = draw_forecasts(table, step=20)
    errors, best, best_skills, skills = figure.axes
    mine = table.query("reference == 'initial' and horizon == 10")  # drawn second
    scored = mine.query("step == 20")
    best_error = scored.query("quantity == 'best_lam_error'")[["lam", "value"]]
    np.testing.assert_allclose(errors.lines[3].get_xydata(), best_error)
    expected = scored.query("quantity == 'forecast_error'")[["lam", "value"]]
    expected = pd.concat([expected, best_error]).sort_values("lam")
    np.testing.assert_allclose(errors.lines[2].get_xydata(), expected)
    expected = mine.query("quantity == 'best_lam'")[["step", "value"]]
    np.testing.assert_allclose(best.lines[1].get_xydata(), expected)
    np.testing.assert_allclose(best.lines[3].get_ydata(), 10 / np.arange(5, 46, 5))
    expected = mine.query("quantity == 'best_lam_skill'")[["step", "value"]]
    np.testing.assert_allclose(best_skills.lines[1].get_xydata(), expected)
    expected = mine.query("quantity == 'forecast_skill' and lam == 1")["value"].clip(lower=-1)
    np.testing.assert_allclose(skills.lines[1].get_ydata(), expected)
    figure.savefig(tmp_path / "forecasts.png")
    assert (tmp_path / "forecasts.png").stat().st_size > 10_000


def test_a_lagged_reference_has_a_picture_of_its_own(table):
    figure = draw_forecasts(table, reference="lagged:10", lam=0.5)
    assert "π of 10 steps before" in figure.get_suptitle()
    assert "step 25" in figure.axes[0].get_title()  # in the middle of 5 ... 40


def test_what_the_table_does_not_have_is_named(table):
    with pytest.raises(ValueError, match="no forecast of reference lagged:7"):
        draw_forecasts(table, reference="lagged:7")
    with pytest.raises(ValueError, match="no forecast of step 7"):
        draw_forecasts(table, step=7)
    with pytest.raises(ValueError, match="no forecast of lam 0"):
        draw_forecasts(table, lam=0.3)
