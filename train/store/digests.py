"""What a run is made from, by digests of its content: the same when it goes on, or it stops there.

They are of content alone, so that files may move and be copied, and are kept with the run's
settings and in each checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import require
from train.store.parts import read_values

BASE, DATA, EVAL_PROBLEMS = "base", "data", "eval_problems"
FLAGS = {BASE: "--model", DATA: "--data", EVAL_PROBLEMS: "--eval-problems"}
WORDS = {BASE: "the base", DATA: "the data", EVAL_PROBLEMS: "the problems of evaluations"}


def check_digests(checkpoint: Path, now: Mapping[str, str], config: Mapping) -> str | None:
    """Return a line on what could not be compared with what a checkpoint was made from.

    now: digests of what is there. config: the run's settings. Raises InputError where
    something has changed since.
    """
    before = _kept(checkpoint)
    changed = [what for what, own in before.items() if now.get(what, own) != own]
    if changed:
        each = " and ".join(
            f"{WORDS[what]} ({FLAGS[what]} {config.get(what if what != BASE else 'model')})"
            for what in sorted(changed)
        )
        raise InputError(
            f"{checkpoint}: {each} changed since the run began, by the content: put it back as it "
            f"was, or start again in another folder with --out"
        )
    unknown = [what for what in now if what not in before]
    if unknown:
        names = ", ".join(WORDS[what] for what in unknown)
        return (
            f"{checkpoint}: without digests of {names}, as of an earlier version: whether they "
            f"changed since the run began could not be compared"
        )
    return None


def _kept(checkpoint: Path) -> dict[str, str]:
    """Return the digests in a checkpoint's state, of which one of an earlier version has none."""
    digests = read_values(checkpoint).get("run", {}).get("digests", {})
    require(f"{checkpoint}: its state", {"digests": digests}, {"digests": dict})
    require(f"{checkpoint}: digests of its state", digests, dict.fromkeys(digests, str))
    return {what: own for what, own in digests.items() if what in WORDS}
