"""Names and texts that mean something in HTML, Markdown or a picture are shown as they are."""

import re
from html.parser import HTMLParser

import pytest

from eval.compare.__main__ import main
from objectives.markdown import plain
from tests.helpers.hostile import HOSTILE
from tests.helpers.run_folders import write_run

OURS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "ul", "li", "p", "div", "table",
    "thead", "tbody", "tr", "th", "td", "small", "figure", "img", "figcaption",
}  # fmt: skip
VOID = {"meta", "img"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag in OURS, tag
        self.links += [value for name, value in attributes if name in ("href", "src")]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["td"]:
            self.cells.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_comparison(text, call, tmp_path):
    folder = tmp_path / "runs"
    hostile = {"model": text, "data": text, "note": text}
    for seed in (0, 1):
        for name, note in ((text, text), (text, "b"), ("sft", "a")):
            for rate in (1e-5, 2e-5):
                path = folder / f"{seed}-{rate}-{note == text}-{name == 'sft'}"
                write_run(path, name, {0: "0100", 2: "0111"}, seed=seed, learning_rate=rate,
                          **{**hostile, "note": note})  # fmt: skip
    status, _, err = call(main, [folder, "--out", "made", "--baseline", "sft"])
    assert status == 0, err
    page = Page((tmp_path / "made" / "report.html").read_text())
    assert page.open == []
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    label = f"{text} note={text}"
    assert " ".join(label.split()) in page.cells
    lines = (tmp_path / "made" / "comparison.md").read_text().split("\n")
    shown = plain(label)
    rows = [line for line in lines if line.startswith(f"| {shown} |")]
    assert len(rows) == 2  # of the table and of the sweep
    for start in ("| objective | seeds", "| objective | 1e-05"):
        head = next(number for number, line in enumerate(lines) if line.startswith(start))
        table = lines[head : head + 5]
        assert len({len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) for row in table}) == 1
    for picture in ("differences", "problems", "accuracy_over_steps", "accuracy_over_compute"):
        assert (tmp_path / "made" / f"{picture}.png").stat().st_size > 10_000
