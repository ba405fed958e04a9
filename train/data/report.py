"""What a file of data is read as, in numbers: rows, groups, pairs, lengths, what is left out."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from eval.context import check_known
from objectives import pair_rollouts
from objectives.text_table import aligned
from train.data.encoding import Encoder
from train.data.table import TrajectoryTable
from train.data.tokenized import why_left_out
from train.data.tokens import Tokens
from train.data.trajectory import Trajectory
from train.data.units import rewards_in_words

QUANTILES = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1.0}
NAMED = 3  # rows that are left out, and kinds of ends, that are named
CUT = "cut off"  # the end of a trajectory that is truncated


class Shown(NamedTuple):
    """A trajectory and its tokens."""

    row: Trajectory
    tokens: Tokens


class DataReport(NamedTuple):
    """Figures of a table, and its first trajectories."""

    name: str
    kind: str  # of its rows
    renamed: Sequence[str]  # columns that are read by another name, in words
    unused: tuple[str, ...]  # columns that are not read
    rows: int
    trajectories: int  # that fit, and so are trained on
    correct: int
    graded: str  # which share that is or, of graded rewards, what they are, in words
    groups: int
    pairs: int
    left_out: Counter[str]
    examples: dict[str, list[str]]  # rows that are left out, by the reason
    notes: list[str]  # what the chat template makes of them
    ends: Counter[str]  # the last trained token of each
    lengths: dict[str, np.ndarray]  # of prompt, completion and both, of every trajectory
    max_tokens: int
    first: list[Shown]


def report_of(
    table: TrajectoryTable,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    vocabulary: int | None = None,
    show: int = 2,
) -> DataReport:
    """Go through a table once; max_tokens, vocabulary: as `tokenized.encode` has them.

    show: how many of the first trajectories to keep. Raises InputError as `encode` does.
    """
    left_out: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    groups: dict[Hashable, int] = {}
    ends: Counter[str] = Counter()
    lengths, kept, wheres, first = [], [], set(), []
    encoder = Encoder(tokenizer)
    for batch in table.batches(left_out):
        for row, tokens in zip(batch, encoder.encode(batch), strict=True):
            wheres.add(row.where)
            lengths.append((len(tokens.prompt), len(tokens.completion)))
            if len(first) < show:
                first.append(Shown(row, tokens))
            reason = why_left_out(tokens, max_tokens)
            if reason is None:
                if vocabulary is not None:
                    check_known(f"{row.where}: it", tokens.whole, vocabulary, tokenizer)
                group = groups.setdefault(row.group, len(groups))
                kept.append((row.where, row.reward, group))
                last = str(tokenizer.convert_ids_to_tokens(tokens.learnt[-1]))
                ends[CUT if row.truncated else last] += 1
            else:
                left_out[reason] += 1
                named = examples.setdefault(reason, [])
                if row.where not in named:
                    named.append(row.where)
    sides = np.array(lengths, int).reshape(-1, 2)
    unread = sum(left_out.values()) - (len(lengths) - len(kept))
    return DataReport(
        table.name,
        table.layout.kind,
        table.layout.renamed,
        table.layout.unused,
        len(wheres) + unread // (1 + table.paired),
        len(kept),
        sum(reward > 0 for _, reward, _ in kept),
        rewards_in_words(torch.tensor([reward for _, reward, _ in kept])),
        len(groups),
        _pairs(table.paired, kept),
        left_out,
        examples,
        encoder.notes(),
        ends,
        {"prompt": sides[:, 0], "completion": sides[:, 1], "both": sides.sum(1)},
        max_tokens,
        first,
    )


def _pairs(paired: bool, kept: Sequence[tuple[str, float, int]]) -> int:
    if paired:
        return sum(count == 2 for count in Counter(where for where, _, _ in kept).values())
    reward = torch.tensor([reward for _, reward, _ in kept])
    return len(pair_rollouts(reward, torch.tensor([group for _, _, group in kept])))


def described(report: DataReport) -> str:
    """Return a report's figures as lines of text, without the trajectories that are shown."""
    lines = [
        ("data", report.name),
        ("rows", f"{report.rows} {report.kind}"),
        ("trajectories", f"{report.trajectories}, {report.graded}"),
        ("groups", f"{report.groups}"),
        ("pairs", f"{report.pairs}"),
    ]
    for reason, count in report.left_out.items():
        named = report.examples.get(reason, [])
        more = ", ..." if len(named) > NAMED else ""
        rows = f": {', '.join(named[:NAMED])}{more}" if named else ""
        lines.append(("left out", f"{count} ({reason}){rows}"))
    lines += [("read as", note) for note in report.renamed]
    if report.unused:
        lines.append(("not used", f"columns {', '.join(report.unused)}"))
    lines += [("template", note) for note in report.notes]
    if report.ends:
        total = sum(report.ends.values())
        found = report.ends.most_common(NAMED)
        rest = total - sum(count for _, count in found)
        every = [f"{end!r} {count / total:.1%}" for end, count in found]
        every += [f"others {rest / total:.1%}"] if rest else []
        lines.append(("ends in", ", ".join(every)))
    text = aligned(lines)
    if not len(report.lengths["both"]):
        return text
    limit = f"over {report.max_tokens}"
    table = [["tokens", *QUANTILES, limit]]
    for name, values in report.lengths.items():
        figures = np.quantile(values, list(QUANTILES.values()), method="nearest")
        over = (values > report.max_tokens).mean()
        table.append([name, *(f"{figure:.0f}" for figure in figures), f"{over:.1%}"])
    return f"{text}\n\n{aligned(table, numbers=True)}"
