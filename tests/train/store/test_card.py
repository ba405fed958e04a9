"""A model card and the pictures beside it: names of others stay text, commands can be pasted."""

import re
import shlex

import pandas as pd
import pytest

from diagnostics.curves.plots import plot_diagnoses, plot_diagnostics
from objectives.markdown import plain
from tests.helpers.hostile import HOSTILE
from tests.helpers.run_folders import write_run
from train.run.plots import plot_comparison, plot_run
from train.store.card import model_card
from train.store.provenance import called, provenance


@pytest.mark.parametrize("text", HOSTILE)
def test_a_card_shows_what_it_is_told(text):
    config = {
        "objective": "fpa", "model": text, "data": text, "seed": 0, "versions": {"torch": text},
        "git_revision": text, "command": f"python -m train --model {shlex.quote(text)}",
    }  # fmt: skip
    card = model_card(config, f"table of {text}", {"accuracy": "training.png"})
    blocks = re.findall(r"^(`{3,})\n(.*?)\n\1$", card, re.DOTALL | re.MULTILINE)
    assert [block for _, block in blocks] == [config["command"], f"table of {text}"]
    outside = card
    for fence, block in blocks:
        outside = outside.replace(f"{fence}\n{block}\n{fence}", "")
    assert outside.startswith(f"# fpa from {plain(text)}\n\n")
    # Paragraphs are those of a card with ordinary names.
    assert len(re.findall(r"\n\n+", outside)) == 3
    assert re.findall(r"(?<!\\)\]\((.*?)\)", outside.replace("\\\\", "")) == ["plots/training.png"]
    assert not re.search(r"(?<!\\)<[a-zA-Z/]", outside.replace("\\\\", ""))


@pytest.mark.parametrize("text", [*HOSTILE, "it's $HOME", "a b", "; rm -r x"])
def test_a_command_is_what_the_shell_would_read(text, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--model", text, "--objective", "fpa"])
    written = called("train")
    assert shlex.split(written) == ["python", "-m", "train", "--model", text, "--objective", "fpa"]
    assert provenance(written)["command"] == written


@pytest.mark.parametrize("text", HOSTILE)
def test_pictures_are_drawn(text, tmp_path):
    folders = {}
    for number in range(2):
        folder = write_run(tmp_path / str(number), "fpa", {0: "01", 2: "11"})
        rows = [(step, "cosine", None, None, None, 0.5) for step in (0, 1, 2)]
        columns = ["step", "quantity", "reference", "horizon", "lam", "value"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / "diagnostics.csv", index=False)
        (folder / "plots").mkdir()
        folders[f"{text}{number}"] = folder
    for picture in (
        plot_run(folder, f"fpa on {text} data"), plot_diagnostics(folder, text),
        plot_comparison(folders, tmp_path / "one.png"),
        plot_diagnoses(folders, tmp_path / "two.png"),
        plot_comparison(folders | {f"{text}{n}": folder for n in range(2, 8)}, tmp_path / "x.png"),
    ):  # fmt: skip
        assert picture.stat().st_size > 10_000
