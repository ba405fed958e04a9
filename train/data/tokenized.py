"""Tokenised trajectories: those that fit, and why others were left out."""

from collections import Counter
from collections.abc import Callable, Hashable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from objectives import pair_rollouts
from objectives.errors import InputError
from train.data.encoding import encode_rows, pad_id
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
    pad_id: int  # of the token that fills up rows

    def all_pairs(self) -> Tensor:
        """Return the pairs (P, 2) that the table states, or those made from its rollouts."""
        return pair_rollouts(self.reward, self.group) if self.pairs is None else self.pairs


def encode(
    table: TrajectoryTable,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    folder: Path | None = None,
) -> TokenizedData:
    """Tokenise a table's trajectories, a few hundred at a time.

    max_tokens: longer trajectories are left out and counted, so are completions without tokens.
    folder: where the ids of a large table are kept, so that the next start finds them.
    Raises InputError naming the row where the prompt alone is that long, or where `folder` cannot
    be written.
    """

    def make(append: Callable[[np.ndarray], object]) -> Columns:
        return _encode(table, tokenizer, max_tokens, append)

    if folder is not None and table.source.bytes >= LARGE:
        path = token_path(folder, table, tokenizer, max_tokens)
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
        pad_id(tokenizer),
    )


def _encode(
    table: TrajectoryTable,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    append: Callable[[np.ndarray], object],
) -> Columns:
    """Hand on the ids batch by batch; return all else that there is to know of the rows."""
    groups: dict[Hashable, int] = {}
    left_out: Counter[str] = Counter()
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
        for batch in table.batches():
            encoded = zip(batch, encode_rows(tokenizer, batch), strict=True)
            kept: list[Tokens] = []
            rows: list[tuple] = []
            for number, (row, (tokens, prompt)) in enumerate(encoded, read):
                if prompt >= max_tokens:
                    raise InputError(
                        f"{table.name}: the prompt of trajectory {number + 1} has {prompt} "
                        f"tokens, more than fit the model's context or --max-tokens ({max_tokens})"
                    )
                group = groups.setdefault(_group_key(row.group), len(groups))
                lengths = len(tokens.prompt), len(tokens.completion)
                trained = len(tokens.places())
                if not lengths[1]:
                    left_out["completion without tokens"] += 1
                elif sum(lengths) > max_tokens:
                    left_out[f"longer than {max_tokens} tokens"] += 1
                else:
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
    return tensors, {"left_out": dict(left_out)}


def _group_key(group: Hashable) -> Hashable:
    """Return what stands for a group: not its text, which may be a long prompt."""
    if not isinstance(group, str):
        return group
    return blake2b(group.encode(errors="surrogatepass"), digest_size=16).digest()
