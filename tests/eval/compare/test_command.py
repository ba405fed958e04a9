"""`python -m eval.compare`: what it prints and writes, and one clear line for what is wrong."""

import base64
import re
from functools import partial

import pandas as pd
import pytest

from eval.compare.__main__ import main
from tests.helpers.run_folders import write_run

FILES = {
    "comparison.csv", "comparison.md", "report.html", "accuracy_over_steps.png",
    "accuracy_over_compute.png", "differences.png", "problems.png",
}  # fmt: skip


@pytest.fixture
def compare(call):
    return partial(call, main)


@pytest.fixture
def runs(tmp_path):
    """Two objectives with two seeds, one of them with two learning rates, and an unfinished run."""
    folder = tmp_path / "runs"
    for seed in (0, 1):
        write_run(folder / f"base-{seed}", "offline_rl", {0: "0100", 2: "0110"}, seed=seed)
        for rate, last in ((1e-5, "1111"), (2e-5, "0101")):
            name = f"fpa-{rate}-{seed}"
            greedy = {0: "0100", 2: last}
            write_run(folder / name, "fpa", greedy, seed=seed, learning_rate=rate, model="builtin")
    write_run(folder / "unfinished", "dpo", {0: "0100", 2: "0110"}, steps=9)
    return folder


def test_prints_a_table_and_writes_a_report(compare, runs, tmp_path):
    status, out, err = compare(f"{runs} --out made")
    assert status == 0
    assert err == f"left out: {runs / 'unfinished'}: unfinished, evaluated up to step 2 of 9\n"
    line = next(line for line in out.splitlines() if line.startswith("fpa"))
    assert re.search(r"^fpa +1 +1e-05 +2 +2 +2 +1.000 \[", line)
    made = tmp_path / "made"
    assert {file.name for file in made.iterdir()} == FILES
    assert all(f"made/{name}" in out for name in FILES)
    table = pd.read_csv(made / "comparison.csv").set_index("objective")
    assert table.loc["fpa", "difference"] == 0.5
    text = (made / "comparison.md").read_text()
    assert text.startswith("| objective | seeds | learning rate |")
    assert "| fpa | 1.000 (1)* | .000 (1) |" in text
    assert "Left out: " in text


def test_the_report_needs_no_other_file(compare, runs, tmp_path):
    assert compare(f"{runs} --out made")[0] == 0
    page = (tmp_path / "made" / "report.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    drawn = {(tmp_path / "made" / name).read_bytes() for name in FILES if name.endswith("png")}
    assert {base64.b64decode(picture) for picture in pictures} == drawn
    assert page.count("src=") == len(pictures) == 4
    rest = re.sub(r'src="[^"]+"', "", page)
    assert not re.search(r"https?:|<script|<link|@import|url\(", rest)
    assert "<td>fpa</td>" in page


def test_names_are_escaped(compare, tmp_path):
    for objective, last in (("offline_rl", "0110"), ("fpa", "1111")):
        write_run(tmp_path / "r" / objective, objective, {0: "0100", 2: last}, model="<b>|x")
    assert compare("r")[0] == 0
    page = (tmp_path / "runs" / "comparison" / "report.html").read_text()
    assert "&lt;b&gt;|x" in page
    assert "<b>" not in page


def test_a_comparison_is_made_again_over_itself(compare, runs, tmp_path):
    for metric in ("--baseline fpa", ""):
        assert compare(f"{runs} --out made {metric}")[0] == 0
    assert "against offline_rl" in (tmp_path / "made" / "comparison.md").read_text()


MISTAKES = [
    ("", "the following arguments are required: PATH"),
    ("nowhere", "nowhere: no such file or folder"),
    ("empty", "empty: no finished run of python -m train there"),
    ("runs --baseline kto", "--baseline kto is not among the runs: name one of fpa, offline_rl"),
    ("runs --metric best", "--metric best: of runs it is greedy or sampled"),
    ("runs --metric sampled", "has no sampled completions"),
    ("runs other", "began from different models"),
    ("runs --out note.txt", "note.txt"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_get_one_line_and_status_2(compare, runs, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("a file")
    write_run(tmp_path / "other" / "a", "kto", {0: "0100", 2: "0110"}, model="smollm2")
    status, _, err = compare(words)
    lines = [line for line in err.strip().splitlines() if not line.startswith("left out: ")]
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
