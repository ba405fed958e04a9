"""The reference's final hidden states, computed once and kept on disk.

The future policy needs the reference's whole distribution, which a cache of its log-probs does not
have. Its final hidden states and its head give it exactly, at d numbers a token instead of V.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from objectives import Head
from objectives.errors import InputError
from objectives.json_files import read_object, read_text, require
from objectives.whole_files import flush, write_whole, writing
from train.data.input_rows import collate
from train.data.kept_file import alone, file_digest
from train.data.tokenized import TokenizedData
from train.devices import processes
from train.models.identity import update_with_weights
from train.models.language_model import LanguageModel

TOKENS_AT_ONCE = 8192  # of a batch that the reference reads, padding included
STORED = {torch.float32: np.float32, torch.bfloat16: np.uint16, torch.float16: np.float16}


@dataclass(frozen=True)
class ReferenceStates:
    """Hidden states where some rows of a data set have trained tokens next, and the head."""

    states: Tensor  # (tokens, d), memory-mapped
    start: Tensor  # (N,) of each row of the data set in `states`, -1 where it is not there
    length: Tensor  # (N,)
    head: Head

    def hidden(self, index: Tensor, device: torch.device) -> Tensor:
        """Return the states of rows `index`, one after the other, (tokens, d)."""
        spans = zip(self.start[index].tolist(), self.length[index].tolist(), strict=True)
        parts = [self.states[start : start + length] for start, length in spans]
        return torch.cat(parts).to(device)


@dataclass(frozen=True)
class Layout:
    """Where which row's states are in the file, and how big that is."""

    rows: Tensor  # by length, the longest first
    start: Tensor
    length: Tensor
    width: int
    dtype: torch.dtype

    @property
    def tokens(self) -> int:
        return int(self.length[self.rows].sum())

    @property
    def bytes(self) -> int:
        return self.tokens * self.width * self.dtype.itemsize

    def batches(self, data: TokenizedData) -> Iterator[list[int]]:
        """Yield rows to read at a time: of about one length, up to TOKENS_AT_ONCE tokens."""
        batch: list[int] = []
        longest = 0
        for row, length in zip(
            self.rows.tolist(), data.tokens.lengths[self.rows].tolist(), strict=True
        ):
            longest = longest if batch else length
            if batch and longest * (len(batch) + 1) > TOKENS_AT_ONCE:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


def lay_out(data: TokenizedData, rows: Tensor, reference: LanguageModel) -> Layout:
    """Plan the states of the distinct `rows` of a data set, d numbers a token."""
    width = reference.head.weight.shape[1]
    length, distinct = data.tokens.trained, rows.unique()
    order = distinct[data.tokens.lengths[distinct].argsort(descending=True, stable=True)]
    start = torch.full((len(data.tokens),), -1)
    start[order] = length[order].cumsum(0) - length[order]
    return Layout(order, start, length, width, reference.states_dtype)


def reference_states(
    reference: LanguageModel,
    data: TokenizedData,
    layout: Layout,
    folder: Path,
    run: Path,
) -> tuple[ReferenceStates, int]:
    """Return the states, from `folder` where they are there, and the tokens that `run` had to read.

    Those are all tokens for the run (a folder) that makes the file, whatever of it an interrupted
    command had read, and whenever that run is started again, which then costs what it had cost
    without a break. They are 0 for every other run.

    A file is found by a digest of the reference's weights, the tokens and the dtype, so it is never
    that of another model or other data. It is filled in batches, goes on where it was interrupted,
    and gets its name when it is whole; of several commands that need it one fills it and the others
    wait. Raises InputError where the disk has no room for it.
    """
    whole = reference.source or reference
    key = _key(whole, data, layout)
    target, record = folder / f"{key}.states", folder / f"{key}.json"

    def maker() -> str | None:
        return processes.on_main(lambda: _maker(target, record, layout))

    own, made_by = str(run.resolve()), maker()
    if made_by is None:
        with ExitStack() as held:
            processes.on_main(lambda: held.enter_context(alone(target)))
            made_by = maker()
            if made_by is None:
                _fill(reference, data, layout, target, record, own)
                made_by = own
    head = _own_head(whole.head, reference.model.device)
    states = ReferenceStates(_open(target, layout, "c"), layout.start, layout.length, head)
    return states, int(data.tokens.lengths[layout.rows].sum()) if made_by == own else 0


def _fill(
    reference: LanguageModel,
    data: TokenizedData,
    layout: Layout,
    target: Path,
    record: Path,
    run: str,
) -> None:
    partial, progress = target.with_suffix(".partial"), target.with_suffix(".progress")
    done = processes.on_main(lambda: _begun(partial, progress, layout))
    states = _open(partial, layout, "r+")
    device = reference.model.device
    title, silent = f"reference, {layout.bytes / 1e6:.0f} MB", not processes.is_main()
    batches = list(layout.batches(data))
    with tqdm(
        total=len(layout.rows), desc=title, unit="row", dynamic_ncols=True, disable=silent,
        initial=sum(map(len, batches[:done])),
    ) as bar:  # fmt: skip
        for batch, counted in processes.even_share(batches[done:]):
            rows = collate([data.tokens[row] for row in batch]).to(device)
            with torch.no_grad():
                hidden = reference.hidden(rows).to(layout.dtype).cpu()
            if counted:
                begin = int(layout.start[batch[0]])
                states[begin : begin + len(hidden)] = hidden
                flush(partial)
            processes.wait()
            bar.update(sum(map(len, batches[done : done + processes.count()])))
            done = min(done + processes.count(), len(batches))
            if processes.is_main():
                write_whole(progress, str(done))
    processes.on_main(lambda: _finish(partial, progress, target, record, layout, run))


def _maker(target: Path, record: Path, layout: Layout) -> str | None:
    """Return the run that made the states, "" where it is unknown, None where they are not there.

    Raises InputError where they are not as written.
    """
    if not (target.exists() and record.exists()):
        return None
    known = read_object(record)
    require(str(record), {"run": "", **known}, {"digest": str, "run": str})
    if target.stat().st_size != layout.bytes or file_digest(target) != known["digest"]:
        raise InputError(
            f"{target} is not what was written there (cut short or changed): remove it, and it is "
            f"made again; or train with --reference-cache off"
        )
    return known.get("run", "")


def _begun(partial: Path, progress: Path, layout: Layout) -> int:
    """Return how many batches are written, after making room for all where nothing is."""
    if partial.exists() and progress.exists() and partial.stat().st_size == layout.bytes:
        done = read_text(progress).strip()
        return int(done) if re.fullmatch(r"[0-9]{1,9}", done) else 0
    _make_room(partial, layout)
    return 0


def _finish(
    partial: Path, progress: Path, target: Path, record: Path, layout: Layout, run: str
) -> None:
    known = {"digest": file_digest(partial), "tokens": layout.tokens, "run": run}
    write_whole(record, json.dumps(known))
    os.replace(partial, target)
    progress.unlink(missing_ok=True)


def _make_room(path: Path, layout: Layout) -> None:
    path.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    if layout.bytes > free:
        raise InputError(
            f"--reference-cache {path.parent}: the reference's states take "
            f"{layout.bytes / 1e9:.2f} GB and {free / 1e9:.2f} GB are free: name a folder on "
            f"another disk, or --reference-cache off"
        )
    with writing(path, path), path.open("wb") as file:
        if layout.bytes:  # at once: a disk that is full later would kill who writes to memory
            os.posix_fallocate(file.fileno(), 0, layout.bytes)


def _open(path: Path, layout: Layout, mode: Literal["r+", "c"]) -> Tensor:
    """Map the file: mode r+ to write it; c to read it, as torch has no read-only tensors."""
    array = np.memmap(path, STORED[layout.dtype], mode, shape=(layout.tokens, layout.width))
    return torch.from_numpy(array).view(layout.dtype)


def _own_head(head: Head, device: torch.device) -> Head:
    """Return a copy that stays as it is when the reference's weights are trained on."""
    weight = head.weight.detach().to(device, copy=True)
    bias = None if head.bias is None else head.bias.detach().to(device, copy=True)
    return head._replace(weight=weight, bias=bias)


def _key(reference: LanguageModel, data: TokenizedData, layout: Layout) -> str:
    digest = hashlib.blake2b(digest_size=12)
    digest.update(
        f"{layout.dtype} {layout.width} {reference.model.config.to_json_string()}".encode()
    )
    update_with_weights(digest, reference.model)
    for part in data.tokens.parts(layout.rows):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()
