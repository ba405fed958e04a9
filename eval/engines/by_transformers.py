"""The engine that is a transformers model in this process, decoded by loops of ours."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from eval.context import known_tokens, turning_lengths
from eval.decoding.choice import way_of
from eval.decoding.drawing import Sampler, uniform_numbers
from eval.decoding.future import Future
from eval.engines.interface import Completion, Progress, Sampling
from objectives.errors import InputError

BATCH_SIZE = 256  # completions decoded at once


class _Row(NamedTuple):
    prompt: int
    sample: int


class TransformersEngine:
    """Samples from a model as it is, also while it is trained; the model stays its owner's."""

    name = "transformers"

    def __init__(
        self,
        model: PreTrainedModel,
        batch_size: int = BATCH_SIZE,
        *,
        future: Future | None = None,
    ):
        """Sample from `model`, at most `batch_size` completions at once.

        future: sample from its future policy instead, extrapolated away from this reference.
        Raises InputError for a batch size below 1.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1")
        self.model, self.batch_size, self.future = model, batch_size, future
        self.config, self.generation_config = model.config, model.generation_config

    @property
    def known_tokens(self) -> int:
        """How many tokens the model has embeddings of."""
        return known_tokens(self.model)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        keys: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """Return completions as `Engine.generate` says.

        Raises InputError for a model that cannot be sampled from, and logits that are not finite.
        """
        with self._evaluating():
            found = self._generate(
                [list(ids) for ids in prompts],
                sampling,
                range(len(prompts)) if keys is None else keys,
                progress or (lambda done, total: None),
            )
        return [[found[_Row(p, s)] for s in range(sampling.n)] for p in range(len(prompts))]

    def check(self) -> None:
        """Raise InputError for a model that cannot be sampled from."""
        with self._evaluating():
            way_of(self.model)
            if self.future is not None:
                self.future.check(self.model)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        models = [self.model] if self.future is None else [self.model, self.future.reference]
        were_training = [model.training for model in models]
        for model in models:
            model.eval()
        try:
            yield
        finally:
            for model, was_training in zip(models, were_training, strict=True):
                model.train(was_training)

    def _generate(
        self, ids: list[list[int]], sampling: Sampling, keys: Sequence[int], report: Progress
    ) -> dict[_Row, Completion]:
        way, turns = way_of(self.model), turning_lengths(self.config)
        decode = way.decode
        if self.future is not None:
            self.future.check(self.model)
            theirs = turning_lengths(self.future.reference.config)
            turns, decode = tuple(sorted({*turns, *theirs})), self.future.decode
        # Prompts of one length share a batch, the longest first: what does not fit fails at once.
        order = sorted(range(len(ids)), key=lambda prompt: -len(ids[prompt]))
        rows = [_Row(prompt, sample) for prompt in order for sample in range(sampling.n)]
        limit, stop = sampling.max_new_tokens, list(sampling.stop_token_ids)
        completions: dict[_Row, Completion] = {}

        def kind_of(row: _Row) -> tuple[int, int]:
            """Return what rows that share a batch have in common: a length, where it matters."""
            length = len(ids[row.prompt])
            # Rotary frequencies turn for all rows of a batch, so that they must do so at once.
            first = bisect_left(turns, length)
            turning = first != bisect_left(turns, length + limit)
            return first, length if turning or not way.pads else 0

        for batch in _batches(rows, kind_of, min(self.batch_size, way.rows or self.batch_size)):
            finished, uniforms = len(completions), None
            if sampling.temperature > 0:
                streams = [(sampling.seed, keys[prompt], sample) for prompt, sample in batch]
                uniforms = uniform_numbers(streams, limit)
            tokens = decode(
                self.model,
                [ids[row.prompt] for row in batch],
                Sampler(sampling.temperature, sampling.top_p, uniforms, sampling.top_k),
                limit,
                stop,
                lambda done, before=finished: report(before + done, len(rows)),
            )
            ended = (_ended(row, stop) for row in tokens.tolist())
            completions.update(zip(batch, ended, strict=True))
            report(len(completions), len(rows))
        return completions

    @torch.no_grad()
    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Copy weights into the model. Raises ValueError for one that it does not have."""
        own = self.model.state_dict()
        for name, values in weights:
            if name not in own or own[name].shape != values.shape:
                raise ValueError(f"{name} {tuple(values.shape)}: the model has no such weight")
            own[name].copy_(values)

    def close(self) -> None:
        """Do nothing: the model is its owner's."""


def _batches(
    rows: list[_Row], kind_of: Callable[[_Row], object], size: int
) -> Iterator[list[_Row]]:
    """Yield rows that may be decoded at once; those of a kind follow each other."""
    for _, alike in groupby(rows, key=kind_of):
        together = list(alike)
        for start in range(0, len(together), size):
            yield together[start : start + size]


def _ended(row: list[int], stop: Sequence[int]) -> Completion:
    """Return a row up to its first stop token."""
    end = next((at for at, token in enumerate(row) if token in stop), None)
    return Completion(row, "length") if end is None else Completion(row[: end + 1], "stop")
