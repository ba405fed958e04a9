"""All about one objective on a page: its weights by hand, its window, and its command."""

import math
import sys

import pytest

from objectives import OBJECTIVES, dpo, guarded, offline_rl, redi, simper
from objectives.__main__ import main
from objectives.coefficients import coefficients, formula, window
from objectives.errors import InputError
from objectives.page import page


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["objectives", *map(str, words)])
    main()
    return capsys.readouterr().out


def test_weights_by_hand():
    """20 tokens a side, the reference at -.5 each; the rejected at -1.5, so d_l = -20."""
    push = 0.1 / (1 + math.exp(0.1 * 20))  # β σ(-β (d_w - d_l))
    assert coefficients(dpo, -0.5, -1.5) == pytest.approx((push, push), rel=1e-12)
    by_probability = math.exp(-0.5) / 20, math.exp(-1.5) / 20
    for loss in (simper, offline_rl):
        assert coefficients(loss, -0.5, -1.5) == pytest.approx(by_probability, rel=1e-12)
    # λ = 2 looks at -1.5 + 2 (-1.5 + .5) = -3.5; a form has its objective's.
    ahead = math.exp(-0.5) / 20, math.exp(-3.5) / 20
    for loss in (offline_rl, OBJECTIVES["fpa"].loss):
        assert coefficients(loss, -0.5, -1.5, lam=2.0) == pytest.approx(ahead, rel=1e-12)
    assert coefficients(redi, -0.7, -0.9).ratio == pytest.approx(0.8)
    assert coefficients(OBJECTIVES["sft"].loss, -0.5, -1.5) == (1 / 20, 0.0)
    assert coefficients(guarded(dpo), -0.6, -0.6).chosen == pytest.approx(0.05 + 0.1 / 20)


def test_log_probs_of_a_future_are_never_above_0():
    assert coefficients(offline_rl, -0.1, -0.1, lam=5.0) == (1 / 20, 1 / 20)


def test_the_window_is_where_the_first_order_change_has_the_right_signs():
    for cosine, ratio in [(0.5, 1.0), (0.3, 2.0), (0.9, 0.5), (-0.4, 1.0), (0.0, 3.0)]:
        found = window(cosine, ratio)
        for weight in (0.05, 0.2, 0.6, 1.0, 1.9, 4.0, 9.0):
            chosen = ratio**2 - weight * cosine * ratio  # ‖g_w‖² - c ip, with ‖g_l‖ = c_w = 1
            rejected = cosine * ratio - weight
            expected = {(True, True): "ideal", (True, False): "both up", (False, True): "both down"}
            assert found.regime(weight) == expected[chosen > 0, rejected < 0], (cosine, weight)
    assert window(0.5, 1.0).regime(float("nan")) == "-"


@pytest.mark.parametrize("name", [*OBJECTIVES, "guarded_dpo", "fpa_guarded_kto"])
def test_every_objective_has_a_page(name):
    text = page(name, cosine=0.5, norm_ratio=1.0)
    assert max(map(len, text.splitlines())) <= 120
    assert text.startswith(f"{name}: a loss per ")
    assert OBJECTIVES[name].source in text
    assert "formula:    Loss (" in text
    assert text.count("|\n") == 13


def test_formulas_are_those_of_docstrings():
    assert formula(dpo) == "Loss (P,): `-log σ(β (d_w - d_l))`."
    assert formula(OBJECTIVES["guarded_fpa_dpo"].loss) == formula(dpo)
    text = page("guarded_fpa_dpo", cosine=0.5, norm_ratio=1.0)
    assert "made from:  fpa_dpo, from dpo" in text


def test_the_command_shows_the_page_and_draws_it(monkeypatch, capsys, tmp_path):
    target = tmp_path / "fpa.png"
    shown = run(monkeypatch, capsys, "fpa", "--output", target, "--cosine", 0.25, "--lam", 2)
    assert "0.25 < c_l/c_w < 4 " in shown
    assert "where λ = 2 looks" in " ".join(shown.split())
    # Rejected .25 a token below: ratio exp(-.25), and exp(-.75) where λ = 2 looks.
    row = next(line for line in shown.splitlines() if line.startswith("0.25 ")).split()
    assert row[3] == f"{math.exp(-0.25):.3g}"
    assert row[6] == f"{math.exp(-0.75):.3g}"
    assert target.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dpoo"], "^dpoo: no objective has this name; did you mean dpo"),
        (["guarded_dpoo"], "did you mean guarded_dpo"),
        (["dpo", "--cosine", "2"], "--cosine 2.0: must be -1 to 1"),
        (["dpo", "--norm-ratio", "0"], "--norm-ratio 0.0: must be above 0"),
        (["dpo", "--lam", "nan"], "--lam nan: must be 0 or more"),
        (["dpo", "ipo", "--output", "x.png"], "are of one objective's page: name one"),
        (["--cosine", "0.2"], "are of one objective's page: name one"),
        (["dpo", "--output", "/dev/null/x.png"], "/dev/null"),
    ],
)
def test_mistakes_are_answered_in_one_line(monkeypatch, capsys, words, message):
    with pytest.raises(InputError, match=message) as caught:
        run(monkeypatch, capsys, *words)
    assert "\n" not in str(caught.value)
