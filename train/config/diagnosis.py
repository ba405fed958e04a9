"""What is measured while a run trains, how often and how far ahead: the flags of diagnostics."""

from dataclasses import dataclass

from objectives.errors import InputError

MEASURES = ("entanglement", "extrapolation", "tokens")
HORIZONS = (1, 2, 4)  # by default, in looks at the probes
PAIRS = 16
# Parameters; of a larger model gradients by themselves are those of the output head alone: all
# take hours on a CPU.
MOST = 100_000_000
# Gradients want another trajectory to compare with, and KTO another prompt's.
FEWEST_PAIRS = 2


@dataclass(frozen=True)
class ProbePlan:
    every: int  # steps between looks at the probe pairs
    measures: tuple[str, ...]  # of MEASURES
    horizons: tuple[int, ...]  # steps, multiples of `every`
    pairs: int  # to look at, at most


def diagnose_plan(
    every: int, measures: str | None, horizons: str | None, pairs: int | None
) -> ProbePlan | None:
    """Return the plan that the flags state; None where every is 0, no diagnostics.

    Raises InputError for what cannot be measured, and for flags that would do nothing.
    """
    given = {"--diagnose": measures, "--horizons": horizons, "--diagnose-pairs": pairs}
    if not every:
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} {value}: say how often with --diagnose-every N")
        return None
    wanted = MEASURES
    if measures is not None:
        wanted = tuple(dict.fromkeys(word.strip() for word in measures.split(",")))
        for word in wanted:
            if word not in MEASURES:
                raise InputError(f"--diagnose {word}: choose from {', '.join(MEASURES)}")
    if horizons is not None and "extrapolation" not in wanted:
        raise InputError(f"--horizons {horizons}: nothing is forecast without extrapolation")
    pairs = PAIRS if pairs is None else pairs
    if pairs < FEWEST_PAIRS:
        raise InputError(f"--diagnose-pairs {pairs}: must be {FEWEST_PAIRS} or more")
    return ProbePlan(every, wanted, _horizons(every, horizons), pairs)


def _horizons(every: int, text: str | None) -> tuple[int, ...]:
    if text is None:
        return tuple(every * n for n in HORIZONS)
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(f"--horizons {text}: expected steps with commas between, such as 10,20,40")
    horizons = tuple(sorted({int(word) for word in words}))
    if any(k % every for k in horizons):
        raise InputError(
            f"--horizons {text}: must be multiples of --diagnose-every, which is {every}"
        )
    return horizons
