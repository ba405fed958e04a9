"""Score a model on benchmarks, or grade completions again.

    python -m eval --model runs/fpa/checkpoints/step-300 --benchmarks builtin --limit 200
    python -m eval --model smollm2 --benchmarks gsm8k,math500 --benchmark-dir sets --out runs/eval
    python -m eval --model smollm2 --problems mine.jsonl --samples 8 --temperature 0.7
    python -m eval --model CHECKPOINT --reference chains --lam 1 --benchmarks chains
    python -m eval --completions runs/eval/completions.jsonl --benchmarks gsm8k
    python -m eval --model smollm2 --problems mine.jsonl --reward mine.py:reward

Every completion is kept in completions.jsonl as soon as it is there; the same command goes on
where it was interrupted. Scores are printed and in summary.json.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eval.completions import CompletionsFolder, read_rows
from eval.problems.benchmark import (
    SAMPLED_TEMPERATURE,
    Benchmark,
    SamplingPlan,
    benchmark_of_file,
    problems_digest,
)
from eval.problems.benchmarks import BENCHMARKS, benchmarks_named
from eval.problems.files import Problem, load_problems
from eval.problems.rewards import Reward, load_reward
from objectives.errors import InputError, command_line
from objectives.output_lock import held
from train.config.flags import Parser, add_flags, check, flag, flag_name, from_flags
from train.config.future_policy import FuturePolicyConfig

if TYPE_CHECKING:
    from eval.reward_scores import RewardScore
    from eval.scores import Score

    Scores = Sequence[Score | RewardScore]

DEFAULT_OUT = "runs/eval"
OF_SAMPLING = ("model", "limit", "samples", "temperature", "top_p", "max_new_tokens",
               "batch_size", "seed", "device", "dtype", "engine", "engine_memory",
               "reference", "lam")  # fmt: skip


@dataclass(frozen=True)
class Settings(FuturePolicyConfig):
    """Each field is a flag."""

    model: str = flag("builtin", "as for python -m train; a run's checkpoint is a folder", "MODEL")
    benchmarks: str | None = flag(
        None, f"names with commas between: {', '.join(BENCHMARKS)}", "NAMES"
    )
    benchmark_dir: str | None = flag(
        None, "folder with the benchmarks' files (gsm8k.jsonl, ...), instead of the hub", "PATH"
    )
    problems: str | None = flag(None, "file of other problems, instead of --benchmarks", "PATH")
    question_column: str | None = flag(None, "of --problems, by default recognised", "NAME")
    answer_column: str | None = flag(None, "of --problems, by default recognised", "NAME")
    completions: str | None = flag(
        None, "grade this completions.jsonl again, without a model", "PATH"
    )
    limit: int | None = flag(None, "first problems of each benchmark; by default all", above=0)
    samples: int | None = flag(
        None, "k, completions of each problem; by default 16 for amc and aime, else 1", above=0
    )
    temperature: float | None = flag(
        None, f"0: greedy; by default 0 for one sample, {SAMPLED_TEMPERATURE} for more"
    )
    top_p: float = flag(0.95, "nucleus to sample from, where not greedy")
    max_new_tokens: int | None = flag(
        None,
        "length limit of a completion; by default 48 for builtin, 512 for gsm8k, else 2048",
        "TOKENS",
        above=0,
    )
    batch_size: int = flag(64, "completions at a time, and kept at a time", above=0)
    seed: int = flag(0, "seed of the samples", least=0)
    device: Literal["auto", "cpu", "cuda"] = flag("auto", "auto: cuda where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = flag(
        "auto", "of the weights; auto: bfloat16 on cuda, else float32"
    )
    out: str | None = flag(
        None, "folder to write, by default runs/eval; with --completions by default none", "PATH"
    )

    def __post_init__(self):
        if (self.benchmarks is None) == (self.problems is None):
            raise InputError("name either --benchmarks (see --help) or a file with --problems")
        for name in ("question_column", "answer_column"):
            if getattr(self, name) is not None and self.problems is None:
                raise InputError(f"{flag_name(name)} goes with --problems, whose column it names")
        if self.benchmark_dir is not None and self.problems is not None:
            raise InputError("--benchmark-dir goes with --benchmarks, whose files it holds")
        if self.benchmark_dir is not None and not Path(self.benchmark_dir).is_dir():
            raise InputError(f"--benchmark-dir {self.benchmark_dir}: no such folder")
        check(self)
        self.check_engine()
        self.check_future()
        if self.temperature is not None and not 0 <= self.temperature < float("inf"):
            raise InputError(f"--temperature {self.temperature}: give 0 (greedy) or a number above")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p {self.top_p}: must be above 0 and at most 1")
        given = {f.name for f in fields(self) if getattr(self, f.name) != f.default}
        for name in OF_SAMPLING:
            if self.completions is not None and name in given:
                raise InputError(f"{flag_name(name)}: not with --completions, already sampled")

    def plan(self, benchmark: Benchmark) -> SamplingPlan:
        """Return how a benchmark is sampled, with its defaults for what was not given."""
        return benchmark.plan(
            self.samples, self.temperature, self.top_p, self.max_new_tokens, self.seed
        )


def _named(settings: Settings, reward: Reward | None) -> list[Benchmark]:
    if settings.problems is not None:
        return [benchmark_of_file(settings.problems, reward)]
    named = benchmarks_named(settings.benchmarks or "")
    return named if reward is None else [replace(own, grade=reward) for own in named]


def _reward(settings: Settings) -> Reward | None:
    return None if settings.reward is None else load_reward(settings.reward)


def _load_problems(settings: Settings, benchmark: Benchmark) -> list[Problem]:
    if settings.problems is not None:
        return load_problems(
            settings.problems,
            question_column=settings.question_column,
            answer_column=settings.answer_column,
            gold=settings.reward is None,
        )
    problems = benchmark.load(settings.benchmark_dir)
    if warning := benchmark.check(problems):
        print(warning)
    return problems


def evaluate(settings: Settings) -> "Scores":
    """Sample, grade and keep what the settings ask for; return the scores."""
    reward = _reward(settings)
    sets = [(b, _load_problems(settings, b)[: settings.limit]) for b in _named(settings, reward)]
    plans = {benchmark.name: settings.plan(benchmark) for benchmark, _ in sets}
    record = {
        "model": settings.model,
        "device": settings.device,
        "dtype": settings.dtype,
        **settings.future_record(),
        **settings.engine_record(),
        **(reward.record() if reward else {}),
        "benchmarks": {
            benchmark.name: {
                **asdict(plans[benchmark.name]),
                "problems": len(problems),
                "problems_sha256": problems_digest(problems, rows=reward is not None),
            }
            for benchmark, problems in sets
        },
    }
    out = Path(settings.out or DEFAULT_OUT)
    with held(out):
        return _scored(settings, CompletionsFolder(out, record), sets, plans)


def _scored(
    settings: Settings,
    folder: CompletionsFolder,
    sets: list[tuple[Benchmark, list[Problem]]],
    plans: dict[str, SamplingPlan],
) -> "Scores":
    """Sample what a folder lacks; return the scores of what is then there."""
    # Imported here so that a mistyped flag is answered at once.
    from eval.reward_scores import reward_score
    from eval.sampling import make_ready, notes, sample_benchmark
    from eval.scores import score
    from train.sampling.engines import open_engine, open_future_engine
    from train.store.origin import origin_of_samples
    from train.store.provenance import called

    folder.take_up({name: plan.samples for name, plan in plans.items()})
    unfinished = [
        (benchmark, problems)
        for benchmark, problems in sets
        if len(folder.of(benchmark.name)) < len(problems) * plans[benchmark.name].samples
    ]
    left_out: dict[str, dict[str, int]] = {}
    if unfinished:
        where = settings.device, settings.dtype, settings.batch_size
        if settings.reference is not None and settings.lam is not None:
            engine, tokenizer = open_future_engine(
                settings.model, settings.reference, settings.lam, *where
            )
        else:
            longest = max(plan.max_new_tokens for plan in plans.values())
            engine, tokenizer = open_engine(settings.model, settings, *where, longest)
        begun = folder.begun if folder.rows else None
        making = origin_of_samples(
            f"{folder.path / 'settings.json'}", settings.model, called("eval"), begun, engine.name,
            settings.reference,
        )  # fmt: skip
        folder.add_making(making)
        ready = [
            make_ready(engine, tokenizer, benchmark, problems, plans[benchmark.name],
                       settings.problems or benchmark.name)
            for benchmark, problems in unfinished
        ]  # fmt: skip
        for entry in ready:
            for line in notes(entry, tokenizer, folder.of(entry.benchmark.name)):
                print(line, flush=True)
        for entry in ready:
            sample_benchmark(
                engine, tokenizer, entry, before=folder.of(entry.benchmark.name),
                keep=folder.append, batch_size=settings.batch_size,
            )  # fmt: skip
        left_out = {e.benchmark.name: e.checked.left_out for e in ready if e.checked.left_out}
    make = score if settings.reward is None else reward_score
    scores = [make(benchmark.name, folder.of(benchmark.name)) for benchmark, _ in sets]
    folder.write_summary([score.as_dict() for score in scores], left_out)
    return scores


def regrade(settings: Settings, source: str) -> "Scores":
    """Grade the completions of a file again, print what changed, return the scores."""
    from train.store.provenance import called, provenance

    reward, kept = _reward(settings), read_rows(Path(source))
    record = {"completions": source, **(reward.record() if reward else {})}
    if settings.out is None:
        return _regraded(settings, reward, kept, source)[1]
    out = Path(settings.out)
    with held(out):
        folder = CompletionsFolder(out, record)
        rows, scores = _regraded(settings, reward, kept, source)
        folder.replace(rows)
        folder.add_making({"made_with": [provenance(called("eval"))]})
        folder.write_summary([score.as_dict() for score in scores])
    return scores


def _regraded(
    settings: Settings, reward: Reward | None, kept: list[dict], source: str
) -> "tuple[list[dict], Scores]":
    from eval.regrading import changes, completions_of, grade_again
    from eval.reward_scores import reward_score
    from eval.scores import score

    rows: list[dict] = []
    scores, make = [], score if reward is None else reward_score
    for benchmark in _named(settings, reward):
        own = completions_of(benchmark, kept, source)
        graded = grade_again(benchmark, own, _problems_if_had(settings, benchmark), source)
        print(f"{benchmark.name}: {changes(own, graded)}")
        rows += graded
        scores.append(make(benchmark.name, graded))
    return rows, scores


def _problems_if_had(settings: Settings, benchmark: Benchmark) -> list[Problem] | None:
    """Return the benchmark's problems; None, and a line, where it was only looked for in vain.

    A reward reads their rows, so that there they must be had.
    """
    try:
        return _load_problems(settings, benchmark)
    except InputError as error:
        if (settings.problems, settings.benchmark_dir, settings.reward) != (None,) * 3:
            raise
        print(f"with the gold answers in {settings.completions}; {error}")
        return None


def _table(scores: "Scores") -> str:
    from eval.reward_scores import RewardScore, reward_table
    from eval.scores import Score, score_table

    rewarded = [own for own in scores if isinstance(own, RewardScore)]
    if rewarded:
        return reward_table(rewarded)
    return score_table([own for own in scores if isinstance(own, Score)])


def main() -> None:
    parser = Parser("eval", __doc__)
    add_flags(parser, Settings)
    settings = from_flags(Settings, parser.parse_args())
    source = settings.completions
    scores = evaluate(settings) if source is None else regrade(settings, source)
    print(_table(scores))
    if source is None or settings.out is not None:
        print(Path(settings.out or DEFAULT_OUT) / "completions.jsonl")


if __name__ == "__main__":
    command_line(main)
