"""What an engine is: prompts as token ids in, completions as token ids out, and new weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor
from transformers import GenerationConfig, PreTrainedConfig

from objectives.errors import InputError

Progress = Callable[[int, int], object]
"""Called with (completions finished, completions in all)."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn. Raises InputError for a value out of range.

    temperature: 0 takes the most probable token. top_p: draw from the smallest set of tokens with
    at least this probability. top_k: and from the k most probable alone; 0: all. n: completions of
    each prompt. What a model's own settings of generation say beside (penalties, bans) does not
    count: completions are of the distribution whose log-probs are trained.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    stop_token_ids: tuple[int, ...] = ()
    n: int = 1
    seed: int = 0

    def __post_init__(self):
        for name, value, least in (
            ("samples", self.n, 1),
            ("max_new_tokens", self.max_new_tokens, 1),
            ("seed", self.seed, 0),
            ("top_k", self.top_k, 0),
        ):
            if value < least:
                raise InputError(f"{name} is {value}; it must be at least {least}")
        if not 0 <= self.temperature < float("inf"):
            raise InputError(
                f"temperature is {self.temperature}; give 0 (greedy) or a positive number"
            )
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; it must be above 0 and at most 1")


class Completion(NamedTuple):
    """A completion as an engine gives it."""

    token_ids: list[int]
    """Sampled ids, the stop token included where it was reached."""
    finish: Literal["stop", "length"]
    """Whether a stop token ended it, or the length limit."""


class Engine(Protocol):
    """Samples completions of token ids; a chat template is applied, once, before it.

    It gives no log-probs: those that are trained are computed by the forward pass of training.
    """

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def config(self) -> PreTrainedConfig:
        """The model's configuration."""
        ...

    @property
    def generation_config(self) -> GenerationConfig | None:
        """The model's own settings of generation, of which the tokens that end a text count."""
        ...

    @property
    def known_tokens(self) -> int:
        """How many tokens the model has embeddings of."""
        ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        keys: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """Return `sampling.n` completions of each prompt.

        prompts: token ids, none empty, each with room for a completion in the model's context.
        keys: a number >= 0 for each prompt, by default its index. A completion's random numbers
        depend on (seed, key, sample) alone, so batches and order do not change it (beyond floating
        point).
        """
        ...

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take other weights, named as transformers' model has them; nothing is kept of before.

        Raises ValueError for a name that the model does not have.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; it generates no more."""
        ...
