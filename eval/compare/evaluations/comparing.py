"""Evaluations side by side: accuracies on the problems that all have, and paired differences."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eval.compare.evaluations.evaluation import Evaluation, Graded, Problem
from eval.statistics import (
    holm,
    mean_difference,
    mean_interval,
    mean_paired_difference,
    problem_difference,
    score_interval,
)
from objectives.errors import InputError

MEAN = "mean of benchmarks"
Key = Callable[[Problem], Hashable]


@dataclass(frozen=True)
class SideBySide:
    """Evaluations compared."""

    table: pd.DataFrame  # a row per benchmark and model, in numbers
    labels: list[str]  # of the models, in the order in which they were named
    evaluations: list[Evaluation]  # in the same order
    baseline: str  # one of the labels
    left_out: list[str]  # sentences: problems and benchmarks that are not compared
    measure: str = "accuracy"  # what scores are, and their columns' name; or "reward"


def compare_evaluations(evaluations: Sequence[Evaluation], baseline: str | None) -> SideBySide:
    """Compare models on the benchmarks that the baseline and at least one other have.

    baseline: a label or path of one of them, by default the first. Of each benchmark the problems
    count that all who have it share: those with one question and gold answer or, where files of
    lm-evaluation-harness are among them, with one question or one digest of the row. Where each has
    a single benchmark, and their names differ, these are compared. p-values are adjusted over all
    benchmarks and models by Holm's method; the mean of benchmarks, a summary of them, has its own.
    Rewards are compared where one function gave all of them, by Student's t where they are not all
    0 or 1, and without a mean of benchmarks.
    Raises InputError where there is nothing to compare, or what is compared has no common scale.
    """
    if len(evaluations) < 2:
        raise InputError("one evaluation: name at least two, the first being the baseline")
    labels = labels_of([evaluation.path for evaluation in evaluations])
    own = _baseline(baseline, labels, evaluations)
    measure = _measure(dict(zip(labels, evaluations, strict=True)))
    shared, left_out = _shared(dict(zip(labels, evaluations, strict=True)), own)
    rows, pairs = [], {label: [] for label in labels if label != own}
    for name, parts in shared.items():
        scores, sentence = _aligned(name, parts)
        left_out += sentence
        bounded = all(graded.bounded for graded in parts.values())
        interval, difference = (
            (score_interval, problem_difference)
            if bounded
            else (mean_interval, mean_paired_difference)
        )
        for label, values in scores.items():
            row = {
                "benchmark": name,
                "model": label,
                "problems": len(values),
                "samples": parts[label].samples,
                **_interval(measure, interval(values)),
            }
            if label != own:
                base = scores[own]
                pairs[label].append((values, base))
                row |= _interval("difference", difference(values, base))
                row |= {"better_on": int((values > base).sum())}
                row |= {"worse_on": int((values < base).sum())}
            rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=[*dict.fromkeys([*rows[0], *_LATER])])
    tested = table["p_value"].notna()
    table.loc[tested, "p_adjusted"] = holm(table.loc[tested, "p_value"].to_list())
    if len(shared) > 1 and measure == "accuracy":
        table = pd.concat([table, _means(table, pairs, len(shared))], ignore_index=True)
    return SideBySide(table, labels, list(evaluations), own, left_out, measure)


_LATER = ("difference", "difference_low", "difference_high", "p_value", "better_on", "worse_on",
          "p_adjusted")  # fmt: skip


def _measure(named: dict[str, Evaluation]) -> str:
    """Return what scores are; raises InputError where they are of several kinds."""
    kinds = {
        label: {graded.reward for graded in evaluation.benchmarks.values()}
        for label, evaluation in named.items()
    }
    if len(set().union(*kinds.values())) > 1:
        first, *others = kinds
        other = next((label for label in others if kinds[label] != kinds[first]), first)
        raise InputError(
            f"{_graded_by(first, named)}, {_graded_by(other, named)}: such scores have no common "
            f"scale; grade both alike, with python -m eval --completions"
        )
    return "accuracy" if all(own <= {None} for own in kinds.values()) else "reward"


def _graded_by(label: str, named: dict[str, Evaluation]) -> str:
    settings = next(iter(named[label].benchmarks.values())).settings
    name, source = settings.get("reward"), str(settings.get("reward_source"))[:8]
    return f"{label} is graded by " + ("answers" if name is None else f"{name} (source {source})")


def labels_of(paths: Sequence[Path]) -> list[str]:
    """Return for each path its last parts, as many as tell it from the others.

    Raises InputError for one that is named twice.
    """
    whole = [path.resolve() for path in paths]
    for path, count in Counter(whole).items():
        if count > 1:
            raise InputError(f"{path} is named twice")
    parts, depth = [*map(_parts, whole)], 1
    while len({tuple(own[-depth:]) for own in parts}) < len(whole):
        depth += 1
    return ["/".join(own[-depth:]) for own in parts]


def _parts(path: Path) -> list[str]:
    """Return a path's parts; a file goes by its folder.

    lm-evaluation-harness names folders by the model's path, with __ in the place of slashes.
    """
    folder = path if path.is_dir() else path.parent
    own = [*folder.parts[:-1], *filter(None, folder.name.split("__"))]
    return own if folder == path else [path.name, *own]


def _baseline(name: str | None, labels: list[str], evaluations: Sequence[Evaluation]) -> str:
    if name is None:
        return labels[0]
    for label, evaluation in zip(labels, evaluations, strict=True):
        if name == label or Path(name).resolve() == evaluation.path.resolve():
            return label
    raise InputError(f"--baseline {name} is not among them: name one of {', '.join(labels)}")


def _shared(named: dict[str, Evaluation], own: str) -> tuple[dict, list[str]]:
    """Return of each benchmark the models that have it, and sentences on what is left out."""
    base = named[own].benchmarks
    single = all(len(e.benchmarks) == 1 for e in named.values())
    if single and len({name for e in named.values() for name in e.benchmarks}) > 1:
        [name] = base
        parts = {label: next(iter(e.benchmarks.values())) for label, e in named.items()}
        names = ", ".join(f"{next(iter(e.benchmarks))} ({label})" for label, e in named.items())
        return {name: parts}, [f"Taken to be one benchmark: {names}."]
    shared, left_out = {}, []
    for name in dict.fromkeys(name for e in named.values() for name in e.benchmarks):
        parts = {label: e.benchmarks[name] for label, e in named.items() if name in e.benchmarks}
        if own in parts and len(parts) > 1:
            shared[name] = parts
        else:
            left_out.append(f"{name} is left out: only {', '.join(parts)} has it.")
        missing = [label for label in named if label not in parts]
        if name in shared and missing:
            left_out.append(f"{name}: {', '.join(missing)} does not have it.")
    if not shared:
        has = "; ".join(f"{label} has {', '.join(e.benchmarks)}" for label, e in named.items())
        raise InputError(
            f"no benchmark that the baseline {own} shares with another: {has}; such as have other "
            f"names are compared where each path holds a single one"
        )
    return shared, left_out


def _aligned(benchmark: str, parts: dict[str, Graded]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return each model's scores on the problems that all have, in one order, and what is not."""
    key = _key(benchmark, parts)
    keyed = {label: _keyed(graded.problems, key) for label, graded in parts.items()}
    first = next(iter(keyed.values()))
    common = [k for k in first if all(k in own for own in keyed.values())]
    if not common:
        raise InputError(f"{benchmark}: no problem that {', '.join(parts)} all have")
    said = []
    for label, own in keyed.items():
        reasons = []
        if len(own) > len(common):
            reasons.append(f"{len(own) - len(common)} of its {len(own)} that others lack")
        if parts[label].unread:
            reasons.append(f"{parts[label].unread} whose gold answer cannot be read")
        if reasons:
            said.append(f"{benchmark}, left out of {label}: {' and '.join(reasons)}.")
    return {label: np.array([own[k] for k in common]) for label, own in keyed.items()}, said


def _key(benchmark: str, parts: dict[str, Graded]) -> Key:
    """Return by what problems are known to be the same."""
    problems = [problem for graded in parts.values() for problem in graded.problems]
    if all(problem.digest is not None for problem in problems):
        return lambda problem: problem.digest
    for label, graded in parts.items():
        if any(problem.question is None for problem in graded.problems):
            raise InputError(
                f"{benchmark}: the rows of {label} have no question by a known name, so that they "
                f"cannot be found among those of python -m eval"
            )
    if all(problem.digest is None for problem in problems):
        return lambda problem: (_text(problem.question), problem.gold)
    return lambda problem: _text(problem.question)


def _text(question: str | None) -> str:
    return " ".join((question or "").split())


def _keyed(problems: Sequence[Problem], key: Key) -> dict[Hashable, float]:
    """Return scores by key and, of problems that are there several times, by their turn."""
    turns: Counter = Counter()
    found = {}
    for problem in problems:
        own = key(problem)
        found[own, turns[own]] = problem.score
        turns[own] += 1
    return found


def _means(table: pd.DataFrame, pairs: dict[str, list], count: int) -> pd.DataFrame:
    """Return a row for each model that has all benchmarks: means over them."""
    rows = []
    for label, own in table.groupby("model", sort=False):
        if len(own) < count:
            continue
        row = {"benchmark": MEAN, "model": label, "problems": own["problems"].sum()}
        row["accuracy"] = own["accuracy"].mean()
        if label in pairs:
            row |= _interval("difference", mean_difference(pairs[str(label)]))
            row |= {name: own[name].sum() for name in ("better_on", "worse_on")}
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(name: str, values: Sequence[float]) -> dict[str, float]:
    names = (name, f"{name}_low", f"{name}_high", "p_value")
    return dict(zip(names, values, strict=False))
