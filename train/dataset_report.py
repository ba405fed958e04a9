"""Show what data are read as before they are trained on: how many, how long, which tokens.

python -m train.dataset_report rollouts.jsonl --model PATH_OR_HUB_ID
"""

import os
import sys
from dataclasses import dataclass

from objectives.errors import command_line
from train.config.flags import Parser, add_flags, check, flag, from_flags


@dataclass(frozen=True)
class Settings:
    """What is read, and for which model; each field but the first is a flag."""

    data: str = "builtin"
    model: str = flag("builtin", "as for python -m train", "MODEL")
    data_config: str | None = flag(None, "configuration of a data set of the hub", "NAME")
    data_split: str | None = flag(None, "split of a data set of the hub, by default train", "NAME")
    max_tokens: int | None = flag(
        None, "trajectories longer than this are left out; by default the model's context",
        "TOKENS", above=0,
    )  # fmt: skip
    show: int = flag(2, "how many of the first trajectories to show as tokens", least=0)

    def __post_init__(self):
        check(self)


def report(settings: Settings, colour: bool) -> str:
    """Return what the command prints; raises InputError for what cannot be read."""
    # Imported here so that a mistyped flag is answered at once.
    from train.config import Config
    from train.data.marked import marked
    from train.data.report import described, report_of
    from train.data.table import read_table
    from train.models.base import open_base

    table = read_table(settings.data, settings.data_config, settings.data_split)
    base = open_base(Config(model=settings.model, device="cpu"))
    limit = min(settings.max_tokens or base.context, base.context)
    found = report_of(table, base.tokenizer, limit, base.vocabulary, settings.show)
    parts = [described(found)]
    if found.first:
        how = "in colour" if colour else "between « and »"
        parts.append(f"The first trajectories, token by token; what is trained is {how}:")
    for row, tokens in found.first:
        head = f"{row.where}, reward {row.reward:g}"
        parts.append(f"{head}\n{marked(tokens, base.tokenizer, colour)}")
    return "\n\n".join(parts)


def main() -> None:
    parser = Parser("train.dataset_report", __doc__)
    parser.add_argument("data", metavar="DATA", help="as --data of python -m train")
    add_flags(parser, Settings)
    words = parser.parse_args()
    print(report(from_flags(Settings, words, data=words.data), _in_colour()))


def _in_colour() -> bool:
    """Say whether the output is a terminal that shows colours, and nobody asked for none."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


if __name__ == "__main__":
    command_line(main)
