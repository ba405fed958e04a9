"""Folders of python -m eval, read as evaluations."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

from eval.compare.evaluations.evaluation import Evaluation, Graded, Problem
from eval.completions import MAKING, read_rows
from eval.reward_scores import is_share
from objectives.errors import InputError
from objectives.json_files import read_object

COMPLETIONS, SETTINGS, SUMMARY = "completions.jsonl", "settings.json", "summary.json"
OF_PROBLEMS = ("problems", "problems_sha256", "samples")  # told by other means
KINDS = (str, int, float, bool, type(None))


def is_own(folder: Path) -> bool:
    """Whether a folder is one that python -m eval writes."""
    return (folder / COMPLETIONS).is_file() and (folder / SETTINGS).is_file()


def read_own(folder: Path) -> Evaluation:
    """Return the evaluation in a folder.

    Raises InputError naming the file where it was not finished, or is not what python -m eval
    writes.
    """
    if not (folder / SUMMARY).is_file():
        raise InputError(
            f"{folder}: not finished, it has no {SUMMARY}: repeat its command, which goes on there"
        )
    settings, rows = read_object(folder / SETTINGS), read_rows(folder / COMPLETIONS, graded=True)
    of_each = settings.get("benchmarks", {})
    of_each = of_each if isinstance(of_each, dict) else {}
    shared = {n: v for n, v in settings.items() if n not in (*MAKING, "benchmarks", "model")}
    rows.sort(key=lambda row: (row["benchmark"], row["index"]))
    benchmarks = {}
    for name, own in groupby(rows, key=lambda row: row["benchmark"]):
        known = of_each.get(name, {})
        known = known if isinstance(known, dict) else {}
        known = shared | {n: v for n, v in known.items() if n not in OF_PROBLEMS}
        known = {n: v for n, v in known.items() if isinstance(v, KINDS)}
        graded = _graded(folder / COMPLETIONS, name, list(own), known)
        benchmarks[name] = replace(graded, reward=_reward(known))
    said = []
    if "completions" in settings:
        said.append(
            f"{folder} was graded again from {settings['completions']}, and does not tell how its "
            f"completions were sampled."
        )
    return Evaluation(folder, str(settings.get("model", folder.name)), "eval", benchmarks, said)


def _reward(settings: dict) -> str | None:
    """Return what tells a reward from others: its function and source, wherever its file is."""
    name, source = settings.get("reward"), settings.get("reward_source")
    return f"{name}".rpartition(":")[2] + f" {source}" if name and source else name


def _graded(file: Path, benchmark: str, rows: list[dict], settings: dict) -> Graded:
    problems, unread, samples, rewarded = [], 0, None, "reward" in settings
    bounded = True
    for index, group in groupby(rows, key=lambda row: row["index"]):
        own = list(group)
        if samples not in (None, len(own)):
            raise InputError(
                f"{file}: problem {index} of {benchmark} has {len(own)} completions where others "
                f"have {samples}: finish that evaluation first"
            )
        samples = len(own)
        if own[0].get("status") == "unparseable_gold":
            unread += 1
            continue
        if any(("correct" in row) is rewarded for row in own):
            what = "a reward" if rewarded else "right or wrong"
            raise InputError(
                f"{file}: problem {index} of {benchmark} is not graded as {SETTINGS} says, by "
                f"{what}: grade the file again with --completions"
            )
        scores = [row["reward"] if rewarded else row["correct"] for row in own]
        bounded = bounded and is_share(scores)
        problems.append(Problem(own[0]["problem"], own[0]["gold"], sum(scores) / samples))
    return Graded(problems, samples or 0, settings, unread, bounded=bounded)
