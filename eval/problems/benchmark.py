"""A set of problems with its customs: where it is, how it is asked, sampled and graded."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from eval.grading import Grade, grade
from eval.problems.files import Problem, load_problems, read_problems, row_of
from eval.problems.rewards import Reward, Rewarded
from eval.problems.tables import ENDINGS, READERS, bare_name
from eval.prompts import question_prompt, word_problem_prompt
from objectives.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REACH_SECONDS = 10  # to wait for the hub's first answer

SAMPLED_TEMPERATURE = 0.6  # where several completions of a problem are asked for

SMALL_SET_SAMPLES = 16  # of each problem, where 40 problems alone would leave wide intervals


class Grader(Protocol):
    """How completions are graded."""

    def __call__(
        self,
        problems: Sequence[Problem],
        texts: Sequence[str],
        truncated: Sequence[bool] | None = None,
        /,
    ) -> Sequence[Grade | Rewarded]:
        """Return a verdict on each text, an answer to the problem of its place."""
        ...


def _grade_mathematics(
    problems: Sequence[Problem], texts: Sequence[str], truncated: Sequence[bool] | None = None, /
) -> list[Grade]:
    return grade(
        texts,
        [problem.answer for problem in problems],
        truncated=truncated,
        questions=[problem.question for problem in problems],
    )


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub, at one commit."""

    name: str
    revision: str
    split: str = "test"
    config: str | None = None


@dataclass(frozen=True)
class SamplingPlan:
    """How a benchmark is sampled."""

    samples: int  # completions of each problem
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int


@dataclass(frozen=True)
class Benchmark:
    """A set of problems with the customs of its evaluation.

    file: its name in --benchmark-dir, without the ending. columns: those of the file, in words.
    count: problems it has. samples: completions of each by default. digest: `problems_digest` of
    the problems as this project knows them, None where it has not seen them.
    """

    name: str
    file: str
    columns: str
    count: int
    hub: Hub | None = None
    samples: int = 1
    max_new_tokens: int = 2048
    digest: str | None = None
    prompt: "Callable[[PreTrainedTokenizerBase, str], str]" = word_problem_prompt
    grade: Grader = _grade_mathematics

    def load(self, folder: str | None = None) -> list[Problem]:
        """Return the problems, from a file in a folder where one is given, else from the hub.

        Raises InputError that says which file with which columns is missing, or the row that does
        not fit.
        """
        if folder is not None:
            return load_problems(self._path(Path(folder)))
        if self.hub is None:
            raise InputError(f"{self.name}: not on the hub; {self._wanted()}")
        return read_problems(f"{self.name} ({self.hub.name})", self._from_hub(self.hub))

    def check(self, problems: Sequence[Problem]) -> str | None:
        """Return a line of warning where the problems are not those that the digest is of."""
        if self.digest in (None, problems_digest(problems)):
            return None
        return (
            f"{self.name}: these {len(problems)} problems are not, word for word, the {self.count} "
            f"that this project knows: compare with results on the same problems alone"
        )

    def plan(
        self,
        samples: int | None = None,
        temperature: float | None = None,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        seed: int = 0,
    ) -> SamplingPlan:
        """Return how it is sampled, with its own customs for what is None.

        temperature: by default 0 for one sample, else 0.6. Raises InputError where several samples
        would all be the same.
        """
        samples = samples or self.samples
        if temperature is None:
            temperature = SAMPLED_TEMPERATURE if samples > 1 else 0.0
        if temperature == 0 and samples > 1:
            raise InputError(
                f"{self.name}: --temperature 0 gives {samples} times the same completion; add "
                f"--samples 1"
            )
        return SamplingPlan(
            samples, temperature, top_p, max_new_tokens or self.max_new_tokens, seed
        )

    def _path(self, folder: Path) -> Path:
        found = [folder / (self.file + ending) for ending in ENDINGS]
        found = [path for path in found if path.is_file()]
        if not found:
            raise InputError(f"{self.name}: no file {folder / self.file}.jsonl; {self._wanted()}")
        return found[0]

    def _from_hub(self, hub: Hub) -> list[dict]:
        from datasets import disable_progress_bars, load_dataset

        disable_progress_bars()
        try:
            with _offline_unless_reachable(hub.name):
                table = load_dataset(hub.name, hub.config, split=hub.split, revision=hub.revision)
                return table.to_list()
        except Exception as error:  # the hub's client raises many kinds
            raise InputError(
                f"{self.name}: {hub.name} cannot be had from the hub ({type(error).__name__}); "
                f"{self._wanted()}"
            ) from None

    def _wanted(self) -> str:
        endings = ", ".join(ending.removeprefix(".") for ending in READERS)
        return (
            f"put {self.file}.jsonl (or {endings}) with the columns {self.columns} into a folder "
            f"and name it with --benchmark-dir"
        )


@contextlib.contextmanager
def _offline_unless_reachable(name: str) -> Iterator[None]:
    """Ask the hub once; where it does not answer use what is cached, without minutes of retries."""
    import huggingface_hub

    constants = huggingface_hub.constants
    was_offline = constants.HF_HUB_OFFLINE
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=REACH_SECONDS)
    except Exception:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def problems_digest(problems: Sequence[Problem], *, rows: bool = False) -> str:
    """Return a checksum of questions and gold answers, white space aside.

    rows: and of all else in their rows, as where a reward reads it.
    """
    digest = hashlib.sha256()
    for problem in problems:
        for text in problem:
            digest.update(" ".join(text.split()).encode() + b"\0")
        if rows:
            digest.update(row_text(problem).encode(errors="surrogatepass") + b"\0")
    return digest.hexdigest()


def row_text(problem: Problem) -> str:
    """Return the row of a problem as JSON; what JSON has no form for is shown as Python does."""
    return json.dumps(row_of(problem), ensure_ascii=False, default=repr)


def benchmark_of_file(path: str, reward: Reward | None = None) -> Benchmark:
    """Return a benchmark for a file of problems that is none of the known ones.

    reward: grades it; its questions are then asked as they are written.
    """
    name = bare_name(Path(path))
    found = Benchmark(name, name, "question, answer", count=0)
    return found if reward is None else replace(found, prompt=question_prompt, grade=reward)
