"""Which layout the rows of a file have, and how a row of each is read."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from objectives.errors import InputError
from train.data import rows
from train.data.trajectory import Trajectory

FORMATS = (
    "prompt, completion, reward | prompt, chosen, rejected | prompt, completion, label | "
    "prompt, completion | messages"
)
ASIDE = ("weight", "system", "tools", "documents", "chat_template_kwargs")
OF_ONE = ("reward", "label", "group_id", "truncated", "completion_ids", *ASIDE)


class Layout(NamedTuple):
    """How rows become trajectories."""

    read: Callable[[str, dict, bool], list[Trajectory]]  # where, row, graded
    graded: bool  # rows have a reward, a label or two sides; otherwise every one counts as right
    unused: tuple[str, ...]  # other columns of the file

    @property
    def paired(self) -> bool:
        """Whether each row states a pair: trajectories 2n, chosen, and 2n + 1."""
        return self.read is rows.pair

    @property
    def kind(self) -> str:
        """What a row is, in words."""
        if self.paired:
            return "pairs"
        return "rollouts" if self.graded else "demonstrations"


def layout_of(name: str, first: Sequence[dict]) -> Layout:
    """Return the layout of a file's first rows; raises InputError naming the columns that lack."""
    columns = list(dict.fromkeys(column for row in first for column in row))
    graded = bool({"reward", "label"} & set(columns))
    if {"chosen", "rejected"} <= set(columns):
        graded, read, used = True, rows.pair, ("prompt", "chosen", "rejected", *ASIDE)
    elif {"prompt", "completion"} <= set(columns):
        read, used = rows.rollout, ("prompt", "completion", *OF_ONE)
    elif "messages" in columns:
        read, used = rows.conversation, ("messages", *OF_ONE)
    else:
        one_side = {"chosen", "rejected"} if {"chosen", "rejected"} & set(columns) else set()
        missing = sorted((one_side or {"prompt", "completion"}) - set(columns))
        raise InputError(
            f"{name}: no column {', '.join(missing)} among {', '.join(sorted(columns))}; "
            f"expected {FORMATS}"
        )
    unused = tuple(column for column in columns if column not in used)
    return Layout(read, graded, unused)
