"""The picture of runs in and out of the window shows what they measured and what they solve."""

import json

from matplotlib.figure import Figure

from diagnostics.curves import plot_window

QUANTITIES = ("cosine", "coefficient_ratio/used", "inside_window/used")


def _write(folder, values, accuracies):
    folder.mkdir()
    rows = [
        f"{step},{name},,,,{value}"
        for step, row in values.items()
        for name, value in zip(QUANTITIES, row, strict=True)
    ]
    text = "\n".join(["step,quantity,reference,horizon,lam,value", *rows, "0,skill,initial,1,1,9"])
    (folder / "diagnostics.csv").write_text(text + "\n")
    lines = [{"step": step, "loss": 0.5} for step in values]
    lines += [{"step": step, "eval/greedy_accuracy": value} for step, value in accuracies.items()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_every_panel_has_a_line_for_each_run(tmp_path, monkeypatch):
    figures = []
    draw = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **k: [figures.append(f), draw(f, *a, **k)])
    dpo = _write(tmp_path / "dpo", {0: (-0.5, 1, 1), 10: (0.2, 1, 0.5)}, {0: 0.25, 10: 0.75})
    fpa = _write(tmp_path / "fpa", {0: (-0.4, 0.9, 1), 10: (0.1, 0.4, 1)}, {})
    target = plot_window({"dpo": dpo, "fpa": fpa}, tmp_path / "pictures" / "window.png")
    assert target.read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    shown = [[list(line.get_ydata()) for line in axis.lines] for axis in figure.axes]
    assert shown == [
        [[-0.5, 0.2], [-0.4, 0.1]],
        [[1, 1], [0.9, 0.4]],
        [[1, 0.5], [1, 1]],
        [[0.25, 0.75], []],
    ]
    assert [line.get_label() for line in figure.axes[0].lines] == ["dpo", "fpa"]
