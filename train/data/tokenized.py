"""Tokenised trajectories: those that fit, and why others were left out."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from eval.context import check_known
from objectives import pair_rollouts
from train.data.encoding import Encoder
from train.data.table import TrajectoryTable
from train.data.token_file import Columns, kept_ids, token_path
from train.data.tokens import FlatTokens, Tokens, flat

LARGE = 4_000_000  # bytes of a data set whose ids are worth keeping on disk
COLUMNS = np.dtype([
    ("prompts", "i4"), ("completions", "i4"), ("trained", "i4"), ("reward", "f4"), ("group", "i8"),
    ("weight", "f4"), ("number", "i8"),
])  # fmt: skip
PATIENCE = 2.0  # seconds before a progress bar shows


class TokenizedData(NamedTuple):
    """A table's trajectories as token ids, those that fit, and why others were left out."""

    tokens: FlatTokens
    reward: Tensor  # (N,) as graded
    group: Tensor  # (N,) integer id of the prompt
    weight: Tensor  # (N,)
    pairs: Tensor | None  # (P, 2) as the table states them
    left_out: dict[str, int]
    max_tokens: int  # no trajectory is longer
    notes: Sequence[str] = ()  # what else there is to say of them, a line each

    def all_pairs(self) -> Tensor:
        """Return the pairs (P, 2) that the table states, or those made from its rollouts."""
        return pair_rollouts(self.reward, self.group) if self.pairs is None else self.pairs


def encode(
    table: TrajectoryTable,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    folder: Path | None = None,
    vocabulary: int | None = None,
) -> TokenizedData:
    """Tokenise a table's trajectories, a few hundred at a time.

    max_tokens: longer trajectories are left out and counted, so are completions without tokens.
    folder: where the ids of a large table are kept, so that the next start finds them.
    vocabulary: rows of the model's embedding, beyond which no id may be.
    Raises InputError naming row and token where one is, the row that a chat template refuses, or
    `folder` where it cannot be written.
    """

    def make(append: Callable[[np.ndarray], object]) -> Columns:
        return _encode(table, tokenizer, max_tokens, vocabulary, append)

    if folder is not None and table.source.bytes >= LARGE:
        path = token_path(folder, table, tokenizer, max_tokens, vocabulary)
        ids, (tensors, values) = kept_ids(path, make)
    else:
        parts = [np.empty(0, np.int32)]
        tensors, values = make(parts.append)
        ids = torch.from_numpy(np.concatenate(parts))
    return TokenizedData(
        FlatTokens(ids, tensors["prompts"], tensors["completions"], tensors["trained"]),
        tensors["reward"],
        tensors["group"],
        tensors["weight"],
        tensors.get("pairs"),
        values["left_out"],
        max_tokens,
        values["notes"],
    )


def _encode(
    table: TrajectoryTable,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    vocabulary: int | None,
    append: Callable[[np.ndarray], object],
) -> Columns:
    """Hand on the ids batch by batch; return all else that there is to know of the rows."""
    groups: dict[Hashable, int] = {}
    left_out: Counter[str] = Counter()
    encoder = Encoder(tokenizer)
    columns = [np.empty(0, COLUMNS)]
    read = 0
    with tqdm(
        total=table.count,
        desc="tokenising",
        unit="row",
        delay=PATIENCE,
        leave=False,
        dynamic_ncols=True,
    ) as bar:
        for batch in table.batches(left_out):
            encoded = zip(batch, encoder.encode(batch), strict=True)
            kept: list[Tokens] = []
            rows: list[tuple] = []
            for number, (row, tokens) in enumerate(encoded, read):
                group = groups.setdefault(_group_key(row.group), len(groups))
                lengths = len(tokens.prompt), len(tokens.completion)
                trained = len(tokens.places())
                reason = why_left_out(tokens, max_tokens)
                if reason is not None:
                    left_out[reason] += 1
                else:
                    if vocabulary is not None:
                        check_known(f"{row.where}: it", tokens.whole, vocabulary, tokenizer)
                    kept.append(tokens)
                    rows.append((*lengths, trained, row.reward, group, row.weight, number))
            append(flat(kept))
            columns.append(np.array(rows, COLUMNS))
            read += len(batch)
            bar.update(len(batch))
    whole = np.concatenate(columns)
    tensors = {name: torch.from_numpy(whole[name].copy()) for name in COLUMNS.names or ()}
    number = tensors.pop("number")
    if table.paired:
        place = torch.full((read,), -1).index_put_((number,), torch.arange(len(number)))
        pairs = place.view(-1, 2)
        tensors["pairs"] = pairs[(pairs >= 0).all(1)]
    notes = [*table.layout.notes, *encoder.notes()]
    return tensors, {"left_out": dict(left_out), "notes": notes}


def why_left_out(tokens: Tokens, max_tokens: int) -> str | None:
    """Return why a trajectory is left out, None where it is not."""
    if len(tokens.prompt) >= max_tokens:
        return f"prompt of {max_tokens} tokens or more"
    if not tokens.completion:
        return "completion without tokens"
    if not tokens.prompt:
        return "no token before the completion"
    if len(tokens.whole) > max_tokens:
        return f"longer than {max_tokens} tokens"
    return None


def _group_key(group: Hashable) -> Hashable:
    """Return what stands for a group: not its text, which may be a long prompt."""
    if not isinstance(group, str):
        return group
    return blake2b(group.encode(errors="surrogatepass"), digest_size=16).digest()
