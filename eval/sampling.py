"""Sample and grade the completions of a benchmark, part by part."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from eval.answers.final import opened_thinking
from eval.engines.interface import Engine
from eval.generation import generate
from eval.problems.benchmark import Benchmark, SamplingPlan
from eval.problems.files import Problem, worked_solutions
from eval.prompt_check import (
    CheckedPrompts,
    Limit,
    asked,
    check_prompts,
    room_beside_prompts,
    share_cut,
    solution_lengths,
)


@dataclass(frozen=True)
class Ready:
    """A benchmark whose prompts have been looked at, all of them."""

    benchmark: Benchmark
    problems: Sequence[Problem]
    prompts: list[str]
    plan: SamplingPlan
    limit: Limit  # what the model's context leaves of the plan's
    checked: CheckedPrompts


def make_ready(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    benchmark: Benchmark,
    problems: Sequence[Problem],
    plan: SamplingPlan,
    source: str,
) -> Ready:
    """Look at all prompts of a benchmark.

    source: the file of its problems, or its name. Raises InputError naming the row that cannot be
    asked, and where no prompt fits the model's context.
    """
    questions = [problem.question for problem in problems]
    prompts = asked(benchmark.prompt, tokenizer, questions, source)
    limit = Limit(room_beside_prompts(engine, tokenizer, prompts, plan.max_new_tokens))
    checked = check_prompts(engine, tokenizer, prompts, limit, source)
    return Ready(benchmark, problems, prompts, plan, limit, checked)


def notes(ready: Ready, tokenizer: PreTrainedTokenizerBase, before: Sequence[dict]) -> list[str]:
    """Return lines on what is left out of a benchmark, and what its length limit cuts.

    before: completions of it that are there already.
    """
    wanted, limit = ready.plan.max_new_tokens, ready.limit
    lines = ready.checked.lines()
    if limit.tokens < wanted:
        lines.append(
            f"--max-new-tokens {wanted} cut to {limit.tokens}, which the model's context leaves "
            f"beside the prompts"
        )
    lengths = solution_lengths(tokenizer, worked_solutions(ready.problems))
    earlier = [row.get("tokens", 0) + bool(row.get("truncated")) for row in before]
    cut = share_cut(lengths, limit, "solutions") or share_cut(earlier, limit, "earlier completions")
    return [f"{ready.benchmark.name}: {line}" for line in [*lines, *filter(None, [cut])]]


def sample_benchmark(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    ready: Ready,
    *,
    before: Sequence[dict],
    keep: Callable[[list[dict]], None],
    batch_size: int,
) -> None:
    """Sample what is missing of a benchmark, showing progress.

    before: completions that are there already, of finished problems. keep: called with the graded
    completions of each part, a dict each. batch_size: completions of a part.
    """
    benchmark, problems, plan = ready.benchmark, ready.problems, ready.plan
    finished = {row["index"] for row in before}
    missing = [index for index in ready.checked.kept if index not in finished]
    size = max(1, batch_size // plan.samples)
    tokens, done, verdicts = 0, len(before), _verdicts(before)
    started = time.monotonic()
    total = len(ready.checked.kept) * plan.samples
    with tqdm(total=total, initial=done, desc=benchmark.name, unit="completion") as bar:
        for start in range(0, len(missing), size):
            part = missing[start : start + size]
            begun = time.monotonic()
            sampled = generate(
                engine,
                tokenizer,
                [ready.prompts[index] for index in part],
                samples=plan.samples,
                temperature=plan.temperature,
                top_p=plan.top_p,
                max_new_tokens=ready.limit.tokens,
                seed=plan.seed,
                keys=part,
                progress=lambda finished, _, first=done: bar.update(first + finished - bar.n),
            )
            flat = [(index, k, c) for index, row in zip(part, sampled, strict=True)
                    for k, c in enumerate(row)]  # fmt: skip
            grades = benchmark.grade(
                [problems[index] for index, _, _ in flat],
                [opened_thinking(ready.prompts[index]) + c.text for index, _, c in flat],
                [c.truncated for _, _, c in flat],
            )
            seconds = (time.monotonic() - begun) / len(flat)
            rows = [
                {
                    "benchmark": benchmark.name,
                    "index": index,
                    "sample": k,
                    "problem": problems[index].question,
                    "gold": problems[index].answer,
                    "completion": completion.text,
                    **_thinking(ready.prompts[index]),
                    **verdict._asdict(),
                    "truncated": completion.truncated,
                    "tokens": len(completion.tokens),
                    "seconds": round(seconds, 4),
                }
                for (index, k, completion), verdict in zip(flat, grades, strict=True)
            ]
            keep(rows)
            done += len(rows)
            tokens += sum(row["tokens"] for row in rows)
            verdicts += _verdicts(rows)
            rate = tokens / (time.monotonic() - started)
            mean = sum(verdicts) / max(1, len(verdicts))
            rewarded = "reward" in rows[0]
            shown = {"reward": f"{mean:.3f}"} if rewarded else {"correct": f"{mean:.1%}"}
            bar.set_postfix({**shown, "tokens/s": f"{rate:.0f}"})


def _verdicts(rows: Sequence[dict]) -> list[float]:
    return [
        row["reward"] if "reward" in row else row["correct"]
        for row in rows
        if row.get("status") != "unparseable_gold"
    ]


def _thinking(prompt: str) -> dict:
    """Return the tag that a prompt opens thinking with, where it does: grading again needs it."""
    tag = opened_thinking(prompt)
    return {"thinking": tag} if tag else {}
