"""The benchmarks by name: where their problems are, how they are asked and graded."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transformers import PreTrainedTokenizerBase

from eval.grading import Grade, grade
from eval.problems import arithmetic
from eval.problems.files import Problem, load_problems, read_problems
from eval.problems.tables import READERS
from eval.prompts import word_problem_prompt
from objectives.errors import InputError

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
    ) -> list[Grade]:
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
    prompt: Callable[[PreTrainedTokenizerBase, str], str] = word_problem_prompt
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
        found = [folder / (self.file + ending) for ending in READERS]
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


def problems_digest(problems: Sequence[Problem]) -> str:
    """Return a checksum of questions and gold answers, white space aside."""
    digest = hashlib.sha256()
    for problem in problems:
        for text in problem:
            digest.update(" ".join(text.split()).encode() + b"\0")
    return digest.hexdigest()


def benchmark_of_file(path: str) -> Benchmark:
    """Return a benchmark for a file of problems that is none of the known ones."""
    return Benchmark(Path(path).stem, Path(path).stem, "question, answer", count=0)


class _Builtin(Benchmark):
    """The built-in task's test problems, which need no file."""

    def load(self, folder: str | None = None) -> list[Problem]:
        return built_in_problems(arithmetic.held_out_problems())


def built_in_problems(expressions: Sequence[str]) -> list[Problem]:
    """Return expressions of the built-in task with their values."""
    return [Problem(text, str(arithmetic.solve(text))) for text in expressions]


def _grade_arithmetic(
    problems: Sequence[Problem], texts: Sequence[str], truncated: Sequence[bool] | None = None, /
) -> list[Grade]:
    return [
        Grade(arithmetic.is_correct(problem.question, text), text.rpartition("#")[2], "ok", True)
        if "#" in text
        else Grade(False, None, "unparseable")
        for problem, text in zip(problems, texts, strict=True)
    ]


BENCHMARKS = {
    entry.name: entry
    for entry in (
        Benchmark(
            "gsm8k",
            "gsm8k",
            "question, answer (worked; the result after ####)",
            1319,
            Hub("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", config="main"),
            max_new_tokens=512,
            digest="715960cd25b3b72359d153b7a44b376964ef5945caad8c1bdfcc32db1a58b0ba",
        ),
        Benchmark(
            "math500",
            "math500",
            "problem, answer",
            500,
            Hub("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"),
            digest="cd01b30e7b9406d74db63a1cf59557f9c2c25d3be17fcb312cad71db305300e0",
        ),
        Benchmark(
            "amc",
            "amc23",
            "question, answer (a number)",
            40,
            Hub("math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057"),
            samples=SMALL_SET_SAMPLES,
            digest="49d64c9b8749fd1fdc30179b417e610270db8e46465b79a9680971ab560ac4e1",
        ),
        Benchmark(
            "aime",
            "aime",
            "problem, answer (a number)",
            30,
            Hub("HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", "train"),
            samples=SMALL_SET_SAMPLES,
        ),
        Benchmark(
            "aime25",
            "aime25",
            "problem, answer (a number)",
            30,
            Hub("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b"),
            samples=SMALL_SET_SAMPLES,
        ),
        Benchmark(
            "minerva",
            "minerva_math",
            "problem, solution (the result in \\boxed{}) or answer",
            272,
            Hub("math-ai/minervamath", "ee46ddc498933b1977577953250ca5c66be64f96"),
            digest="dd132b8a29f4731fe9a990a1874efb4b8d6d249910739901d2c8faf197492760",
        ),
        Benchmark(
            "olympiadbench",
            "olympiadbench",
            "question, final_answer (a list of answers)",
            675,
            Hub(
                "Hothan/OlympiadBench",
                "91184b52131e7fc9455fef848035173aea8cc01a",
                "train",
                "OE_TO_maths_en_COMP",
            ),
            digest="e11148bcb3c347838f6e291af45220e7f301b4239f4ad7466d1587bc954430a3",
        ),
        Benchmark("math_perturb", "math_perturb", "problem, answer", 279),
        _Builtin(
            "builtin",
            "",
            "",
            arithmetic.TEST_COUNT,
            max_new_tokens=arithmetic.MAX_NEW_TOKENS,
            prompt=lambda tokenizer, question: question,
            grade=_grade_arithmetic,
            digest="b934d70080ba98630119e2e274b13f4d6543d4ed289ae98c825caef9f66bbb82",
        ),
    )
}


def benchmarks_named(text: str) -> list[Benchmark]:
    """Read names with commas between. Raises InputError for one that is none."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in BENCHMARKS:
            raise InputError(f"--benchmarks {name}: not one of {', '.join(BENCHMARKS)}")
    return [BENCHMARKS[name] for name in names]
