"""What was measured, as files: a table, a summary and two pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from diagnostics.entanglement.explanation import Explanation
from diagnostics.entanglement.measure import TokenCosines
from diagnostics.entanglement.moved_plot import draw_moved
from diagnostics.entanglement.plot import draw_entanglement, draw_token_matrix
from diagnostics.entanglement.words import token_names
from diagnostics.panels import save
from objectives.whole_files import whole_folder, write_whole

MOVED = ("moved.csv", "moved.png")
FILES = ("pairs.csv", "summary.json", "entanglement.png", "token_matrix.png")
DPI = 110


def write_report(
    folder: Path,
    table: pd.DataFrame,
    summary: dict,
    number: int,
    token_cosines: Callable[[int], TokenCosines],
    tokenizer,
    explanation: Explanation | None = None,
) -> list[Path]:
    """Write FILES into a folder that is not there yet, or empty, all or none; return their paths.

    table: of `MeasuredPairs.table`. summary: of `summarise`, with what else is to be known, of
    which `policy`, `parameters` and `lam` are said in titles. number: the line of the pair to
    draw, with its `token_cosines`, which take long and are asked for when the table is written.
    tokenizer: with `decode` and `eos_token_id`. explanation: of a policy and its reference, for
    MOVED too.
    """
    with whole_folder(folder) as made:
        _write(made, table, summary, number, token_cosines, tokenizer)
        if explanation is not None:
            moved, picture = (made / name for name in MOVED)
            write_whole(moved, explanation.table.to_csv(index=False))
            title = f"{summary['policy']}, {len(table)} pairs"
            save(draw_moved(explanation, title), picture, dpi=DPI)
    return [folder / name for name in (*FILES, *(MOVED if explanation is not None else ()))]


def _write(
    folder: Path,
    table: pd.DataFrame,
    summary: dict,
    number: int,
    token_cosines: Callable[[int], TokenCosines],
    tokenizer,
) -> None:
    pairs, totals, picture, matrix = (folder / name for name in FILES)
    write_whole(pairs, table.to_csv(index=False))
    write_whole(totals, json.dumps(summary, indent=2) + "\n")
    place = summary["policy"]
    title = (
        f"{place}, {len(table)} pairs, parameters: {summary['parameters']}, λ = {summary['lam']:g}"
    )
    save(draw_entanglement(table, list(summary["objectives"]), title), picture, dpi=DPI)
    cosines, chosen, rejected = token_cosines(number)
    sides = token_names(tokenizer, chosen), token_names(tokenizer, rejected)
    prompt, cosine = " ".join(table["prompt"][number].split()), table["cosine"][number]
    heading = f"the most entangled pair: {prompt:.40}\n{place}, cosine of the whole {cosine:.2f}"
    save(draw_token_matrix(cosines, *sides, heading), matrix, dpi=DPI)
