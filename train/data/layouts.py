"""Which layout the rows of a file have, and how a row of each is read."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from objectives.errors import InputError
from train.data import rows
from train.data.row_forms import in_our_form, other_names
from train.data.trajectory import Trajectory

FORMATS = (
    "prompt, completion, reward | prompt, chosen, rejected | prompt, completion, label | "
    "prompt, completion | messages"
)
ANSWERS = ("answer", "ground_truth", "reward_model", "solution", "final_answer")
ASIDE = ("weight", "system", "tools", "documents", "chat_template_kwargs")
OF_ONE = ("reward", "label", "group_id", "truncated", "completion_ids", *ASIDE)


class Layout(NamedTuple):
    """How rows become trajectories."""

    reader: Callable[[str, dict, bool], list[Trajectory]]  # of where, a row in our form, graded
    graded: bool  # rows have a reward, a label or two sides; otherwise every one counts as right
    unused: tuple[str, ...]  # other columns of the file
    names: Mapping[str, str]  # our names of columns by theirs, where these differ

    def read(self, where: str, row: dict) -> list[Trajectory]:
        """Return a row's trajectories.

        Raises InputError naming row and column, and LeftOut for a row that cannot be trained on.
        """
        try:
            return self.reader(where, in_our_form(where, row, self.names), self.graded)
        except InputError as error:
            if not self.names:
                raise
            raise InputError(f"{error} ({'; '.join(self.renamed)})") from None

    @property
    def notes(self) -> list[str]:
        """What there is to say of the columns, a line each."""
        unused = [f"columns not used: {', '.join(self.unused)}"] if self.unused else []
        return [*self.renamed, *unused]

    @property
    def renamed(self) -> list[str]:
        """Which columns are read by another name, a line each."""
        return [f"column {theirs} is read as {ours}" for theirs, ours in self.names.items()]

    @property
    def paired(self) -> bool:
        """Whether each row states a pair: trajectories 2n, chosen, and 2n + 1."""
        return self.reader is rows.pair

    @property
    def kind(self) -> str:
        """What a row is, in words."""
        if self.paired:
            return "pairs"
        return "rollouts" if self.graded else "demonstrations"


def layout_of(name: str, first: Sequence[dict]) -> Layout:
    """Return the layout of a file's first rows; raises InputError naming the columns that lack."""
    theirs: list[str] = list(dict.fromkeys(column for row in first for column in row))
    names = other_names(name, theirs)
    columns: list[str] = [names.get(column, column) for column in theirs]
    graded = bool({"reward", "label"} & set(columns))
    if {"chosen", "rejected"} <= set(columns):
        graded, reader, used = True, rows.pair, ("prompt", "chosen", "rejected", *ASIDE)
    elif {"prompt", "completion"} <= set(columns):
        reader, used = rows.rollout, ("prompt", "completion", *OF_ONE)
    elif "messages" in columns:
        reader, used = rows.conversation, ("messages", *OF_ONE)
    else:
        raise _unknown(name, columns)
    if "reward" in columns:
        used = tuple(column for column in used if column != "label")
    unused = tuple(column for column in columns if column not in used)
    return Layout(reader, graded, unused, names)


def _unknown(name: str, columns: Sequence[str]) -> InputError:
    one_side = {"chosen", "rejected"} if {"chosen", "rejected"} & set(columns) else set()
    missing = sorted((one_side or {"prompt", "completion"}) - set(columns))
    problems = "" if one_side or not {*ANSWERS} & set(columns) else (
        "; problems with answers are for --online, or for python -m train.rollouts"
    )  # fmt: skip
    return InputError(
        f"{name}: no column {', '.join(missing)} among {', '.join(sorted(columns))}; expected "
        f"{FORMATS}{problems}"
    )
