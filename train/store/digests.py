"""What a run is made from, by digests of its content: the same when it goes on, or it stops there.

They are of content alone, so that files may move and be copied, and are kept with the run's
settings and in each checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path

from objectives.errors import InputError
from objectives.json_files import require
from train.store.parts import read_values

BASE, DATA, EVAL_PROBLEMS, EVAL_DATA = "base", "data", "eval_problems", "eval_data"
OBJECTIVE, REWARD, REFERENCE = "objective", "reward", "reference"
FLAGS = {BASE: "--model", DATA: "--data", EVAL_PROBLEMS: "--eval-problems",
         EVAL_DATA: "--eval-data", OBJECTIVE: "--objective", REWARD: "--reward",
         REFERENCE: "--reference"}  # fmt: skip
WORDS = {BASE: "the base", DATA: "the data", EVAL_PROBLEMS: "the problems of evaluations",
         EVAL_DATA: "the held-out rows", OBJECTIVE: "the source of the objective",
         REWARD: "the source of the reward", REFERENCE: "the reference"}  # fmt: skip


def check_digests(checkpoint: Path, now: Mapping[str, str], config: Mapping) -> str | None:
    """Return a line on what could not be compared with what a checkpoint was made from.

    now: digests of what is there. config: the run's settings. Raises InputError where
    something has changed since.
    """
    settings = {BASE: "model", DATA: "data", EVAL_PROBLEMS: "eval_problems",
                EVAL_DATA: "eval_data", OBJECTIVE: "objective", REWARD: "reward"}  # fmt: skip
    given = {what: config.get(name) for what, name in settings.items()}
    return compare_digests(f"{checkpoint}", "the run", _kept(checkpoint), now, given)


def compare_digests(
    where: str, whole: str, before: Mapping[str, str], now: Mapping[str, str], given: Mapping
) -> str | None:
    """Return a line on what could not be compared; raise InputError where something has changed.

    where: what has the digests `before`. whole: what is made from them. given: by what they are of,
    what the flag says.
    """
    changed = [what for what, own in before.items() if now.get(what, own) != own]
    if changed:
        each = " and ".join(
            f"{WORDS[what]} ({FLAGS[what]} {given.get(what)})" for what in sorted(changed)
        )
        raise InputError(
            f"{where}: {each} changed since {whole} began, by the content: put it back as it was, "
            f"or start again with another --out"
        )
    unknown = [what for what in now if what not in before]
    if unknown:
        names = ", ".join(WORDS[what] for what in unknown)
        return (
            f"{where}: without digests of {names}, as of an earlier version: whether they changed "
            f"since {whole} began could not be compared"
        )
    return None


def _kept(checkpoint: Path) -> dict[str, str]:
    """Return the digests in a checkpoint's state, of which one of an earlier version has none."""
    return known_digests(f"{checkpoint}: its state", read_values(checkpoint).get("run", {}))


def known_digests(where: str, record: Mapping) -> dict[str, str]:
    """Return the digests that a record holds; raises InputError where they are none."""
    digests = record.get("digests", {})
    require(where, {"digests": digests}, {"digests": dict})
    require(f"{where}: digests", digests, dict.fromkeys(digests, str))
    return {what: own for what, own in digests.items() if what in WORDS}
