"""Time and memory against trajectory length, vocabulary, batch and rows of data.

`pytest tests/bench/test_bench_scaling.py --benchmark-only -s`; some minutes. Prints a table with
growth exponents, slopes of a line through the upper half of the points in log-log. SCALING_OUT
names a CSV file that the points are added to, so that one can measure with -k in pieces, and a
figure of them all is drawn beside it. SCALING_ROWS: the most rows (default 1,000,000).
SCALING_MODEL: a model of yours (a folder, a .gguf file), whose steps are measured, too.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import seaborn as sns

from tests.helpers.scaling import can_measure, measure_start, measure_step, write_rows

LENGTHS = [256, 512, 1024, 2048, 4096, 8192]
VOCABULARIES = [1024, 4096, 16_384, 65_536, 262_144]
BATCHES = [1, 2, 4, 8, 16, 32]
MOST_ROWS = int(os.environ.get("SCALING_ROWS", "1_000_000"))
ROWS = [10**n for n in range(3, 7) if 10**n <= MOST_ROWS]
OWN, OWN_LENGTHS = os.environ.get("SCALING_MODEL"), [128, 256, 512, 1024]
AXES = (
    "trajectory length",
    "vocabulary",
    "trajectories a step",
    "rows of data",
    "length, own model",
)
VALUES = ("seconds", "MB")
COLOURS, MARKERS = sns.color_palette("colorblind"), "os"
found: list[dict] = []  # of all tests of this file, for the figure


@pytest.fixture(scope="module", autouse=True)
def figure():
    yield
    if found and "SCALING_OUT" in os.environ:
        path, table = Path(os.environ["SCALING_OUT"]), pd.DataFrame(found)
        if path.exists():
            table = pd.concat([pd.read_csv(path), table])
            table = table.drop_duplicates(["axis", "point", "way"], keep="last")
        table.to_csv(path, index=False)
        draw(table, path.with_suffix(".png"))


@pytest.fixture
def sweep(benchmark):
    """Return a function that measures points, each in a process of its own, and prints them."""
    if benchmark.disabled:
        pytest.skip("a measurement, not a test")
    if not can_measure():
        pytest.skip("the peak of memory cannot be reset on this system")

    processes = get_context("forkserver")
    processes.set_forkserver_preload([__name__])

    def run(axis: str, points: list[int], ways: dict[str, Callable]) -> None:
        def all_points():
            for point in points:
                for way, measure in ways.items():
                    with ProcessPoolExecutor(1, mp_context=processes) as pool:
                        seconds, size = pool.submit(measure, point).result()
                    found.append(
                        {"axis": axis, "point": point, "way": way,
                         "seconds": seconds, "MB": size / 1e6}
                    )  # fmt: skip

        benchmark.pedantic(all_points, rounds=1)
        own = pd.DataFrame(found).query("axis == @axis")
        print(f"\n{axis}")
        print(own.pivot(index="point", columns="way", values=list(VALUES)).round(3).to_string())
        for way, part in own.groupby("way", sort=False):
            grown = {value: round(exponent(part["point"], part[value]), 2) for value in VALUES}
            benchmark.extra_info[way] = grown
            print(f"{way}: grows as {axis} to the power of", grown)

    return run


def exponent(points, values) -> float:
    """Return the slope of a line through the upper half of the points, in log-log."""
    half = min(len(points) // 2, len(points) - 2)
    x, y = ([math.log(v) for v in list(column)[half:]] for column in (points, values))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    along = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return along / sum((a - mean_x) ** 2 for a in x)


def step(point: int, axis: str, **others) -> tuple[float, int]:
    return measure_step(**{axis: point}, **others)


def start(rows: int, folder: Path) -> tuple[float, int]:
    return measure_start(folder / f"{rows}.jsonl", folder / "cache")


def test_trajectory_length(sweep):
    given = partial(step, axis="length", vocabulary=8192, trajectories=1)
    sweep(AXES[0], LENGTHS, {"kernel": given, "dense logits": partial(given, dense=True)})


@pytest.mark.skipif(OWN is None, reason="SCALING_MODEL names a model to measure")
def test_trajectory_length_of_a_model(sweep):
    given = partial(step, axis="length", vocabulary=1024, trajectories=1, model=OWN)
    ways = {"kernel": given, "dense logits": partial(given, dense=True)}
    sweep("length, own model", OWN_LENGTHS, ways)


def test_vocabulary(sweep):
    given = partial(step, axis="vocabulary", length=2048, trajectories=1)
    sweep(AXES[1], VOCABULARIES, {"kernel": given, "dense logits": partial(given, dense=True)})


def test_batch(sweep):
    given = partial(step, axis="trajectories", length=256, vocabulary=8192)
    ways = {"all at once": given, "512 tokens at once": partial(given, tokens_at_once=512)}
    sweep(AXES[2], BATCHES, ways)


def test_rows_of_data(sweep, tmp_path):
    for count in ROWS:
        write_rows(tmp_path / f"{count}.jsonl", count)
    given = partial(start, folder=tmp_path)
    sweep(AXES[3], ROWS, {"first start": given, "second start": given})


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw time and memory, a column for each axis that was measured, with growth exponents."""
    sns.set_theme(style="ticks", context="paper")
    axes = [axis for axis in AXES if (table["axis"] == axis).any()]
    figure, panels = plt.subplots(
        2, len(axes), figsize=(3.3 * len(axes), 5.6), sharex="col", squeeze=False
    )
    for column, axis in zip(panels.T, axes, strict=True):
        own = table[table["axis"] == axis]
        for panel, value in zip(column, VALUES, strict=True):
            for number, (way, part) in enumerate(own.groupby("way", sort=False)):
                slope = exponent(part["point"], part[value])
                panel.loglog(
                    part["point"], part[value], MARKERS[number] + "-", color=COLOURS[number],
                    label=f"{way} (power {slope:.2f})",
                )  # fmt: skip
            panel.grid(True, alpha=0.4)
            panel.legend(fontsize=7.5, frameon=False, loc="upper left")
            low, high = own[value].min(), own[value].max()
            panel.set_ylim(low / 1.5, high * 4)  # room for the legend
        column[1].set_xlabel(axis)
        column[1].set_xticks(own["point"].unique(), [_short(n) for n in own["point"].unique()])
        column[1].minorticks_off()
    panels[0, 0].set_ylabel("processor seconds")
    panels[1, 0].set_ylabel("peak MB, above before")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _short(count: int) -> str:
    if count >= 10**6 and count % 10**6 == 0:
        return f"{count // 10**6}M"
    if count % 1000 == 0:
        return f"{count // 1000}k"
    return f"{count // 1024}k" if count % 1024 == 0 else str(count)
