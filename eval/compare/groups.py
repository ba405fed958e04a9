"""Which runs are seeds of one line of a comparison, and whether runs can be compared at all."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eval.compare.runs import EvaluatedRun
from objectives.errors import InputError

EVALUATION = ("eval_samples", "eval_temperature", "eval_max_new_tokens")
UNSET = "null"  # the text of a setting that a run does not have


@dataclass(frozen=True)
class Group:
    """Runs that differ in seed and learning rate alone."""

    label: str  # the objective, and those of its hyper-parameters in which its groups differ
    objective: str
    by_rate: dict[float, list[EvaluatedRun]]  # seeds of each learning rate, both ascending


def group_runs(runs: Sequence[EvaluatedRun]) -> list[Group]:
    """Return groups in the order of their names.

    Raises InputError naming two runs that cannot be compared: of different problems, ways to
    evaluate, models or data (by name, or by digests of their content), objectives of a user's own
    that were edited between, or twice the same seed of
    the same settings.
    """
    _require_equal(runs, "were evaluated on different problems", lambda run: run.problems)
    _require_equal(runs, "began from different models", lambda run: run.config["model"])
    _require_same_content(runs, "base", "began from models whose files differ")
    for part in _split(runs, lambda run: run.online).values():  # online, data are problems alone
        _require_equal(part, "were trained on different data", lambda run: run.config["data"])
        _require_same_content(part, "data", "were trained on data of different content")
    for name in EVALUATION:
        _require_equal(
            runs, f"differ in --{name.replace('_', '-')}", lambda r, n=name: r.config.get(n)
        )
    groups = []
    for objective, own in _split(runs, lambda run: run.objective).items():
        _require_same_content(own, "objective", f"were trained with {objective} of other source")
        differing = differing_settings(own)
        for values, members in _split(own, lambda r, d=differing: _values(r, d)).items():
            settings = zip(differing, values, strict=True)
            named = [f"{n}={v}" for n, v in settings if v != UNSET]
            _require_same_content(members, "reward", "were rewarded by functions of other source")
            by_rate = _split(members, lambda run: run.learning_rate)
            for rate in by_rate:
                by_rate[rate].sort(key=lambda run: run.seed)
                _require_once(by_rate[rate])
            groups.append(
                Group(" ".join([objective, *named]), objective, dict(sorted(by_rate.items())))
            )
    return sorted(groups, key=lambda group: group.label)


def differing_settings(runs: Sequence[EvaluatedRun], shared: bool = False) -> list[str]:
    """Return the hyper-parameters in which runs differ; shared: of those that all of them have."""
    names = dict.fromkeys(name for run in runs for name in run.hyper)
    if shared:
        names = [name for name in names if all(name in run.hyper for run in runs)]
    return [name for name in names if len({_values(run, [name]) for run in runs}) > 1]


def setting_text(value: Any) -> str:
    """Return a setting as text, the same for equal numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value)


def _values(run: EvaluatedRun, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(setting_text(run.hyper.get(name)) for name in names)


def _split(runs: Sequence[EvaluatedRun], key: Callable[[EvaluatedRun], Any]) -> dict[Any, list]:
    parts = defaultdict(list)
    for run in runs:
        parts[key(run)].append(run)
    return dict(parts)


def _require_equal(runs: Sequence[EvaluatedRun], complaint: str, value: Callable) -> None:
    for run in runs[1:]:
        if value(run) != value(runs[0]):
            raise InputError(
                f"{runs[0].path} and {run.path} {complaint}: compare those that do not, by naming "
                f"their folders"
            )


def _require_same_content(runs: Sequence[EvaluatedRun], what: str, complaint: str) -> None:
    """Compare digests of those runs that kept them, which older ones did not."""
    known = [run for run in runs if what in run.digests]
    _require_equal(known, complaint, lambda run: run.digests[what])


def _require_once(seeds: Sequence[EvaluatedRun]) -> None:
    for one, other in pairwise(seeds):
        if one.seed == other.seed:
            raise InputError(
                f"{one.path} and {other.path} are one run twice: {one.objective} with learning "
                f"rate {one.learning_rate:g} and seed {one.seed}: name one of them"
            )
