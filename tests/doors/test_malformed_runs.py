"""Malformed run folders, evaluations and caches get one line from every command that reads them."""

import pytest

from tests.doors.conftest import MADE
from tests.helpers.malformed import (
    broken_beginnings,
    broken_binary,
    broken_json,
    broken_lines,
    broken_table,
    spoilers,
)

RESUME = MADE["run"] + " --resume"
UNFINISHED = MADE["unfinished"] + " --resume"
COMPARE = "eval.compare run --baseline dpo"
ENTANGLEMENT = "diagnostics.entanglement --run run --pairs 2"
EXTRAPOLATION = "diagnostics.extrapolation --run run"
LAST = "run/checkpoints/step-2"
READERS = {
    "run/config.json": (broken_json, RESUME, COMPARE, ENTANGLEMENT, EXTRAPOLATION),
    "run/metrics.jsonl": (broken_lines, COMPARE),
    "unfinished/metrics.jsonl": (broken_beginnings, UNFINISHED),
    "run/eval.jsonl": (broken_lines, COMPARE),
    "run/result.json": (broken_json, COMPARE, RESUME),
    "run/diagnostics.csv": (broken_table, EXTRAPOLATION),
    f"{LAST}/adapter_config.json": (broken_json, ENTANGLEMENT),
    f"{LAST}/adapter_model.safetensors": (broken_binary, ENTANGLEMENT),
    "unfinished/checkpoints/step-1/trainer_state.json": (broken_json, UNFINISHED),
    "unfinished/checkpoints/step-1/trainer_state.safetensors": (broken_binary, UNFINISHED),
    "evaluated/completions.jsonl": (
        broken_lines, MADE["evaluated"],
        "eval --completions evaluated/completions.jsonl --problems problems.jsonl"),
    "evaluated/settings.json": (broken_json, MADE["evaluated"]),
    "made.parquet.parts/settings.json": (broken_json, MADE["parts"]),
    "made.parquet.parts/part-00000.parquet": (broken_binary, MADE["parts"]),
}  # fmt: skip
CASES = [
    (words, file, content, f"{words.split()[0]} {file.split('/')[-1]} {what}")
    for file, (broken, *readers) in READERS.items()
    for words in readers
    for what, content in spoilers(broken)
]


@pytest.mark.parametrize(
    ("words", "file", "content"), [c[:3] for c in CASES], ids=[c[3] for c in CASES]
)
def test_what_runs_wrote(refused, words, file, content):
    refused(words, {file: content})
