"""Sample and grade the completions of a benchmark, part by part."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.answers.final import opened_thinking
from eval.context import context_of
from eval.generation import generate
from eval.problems.benchmarks import Benchmark, SamplingPlan
from eval.problems.files import Problem
from eval.prompts import encode_texts
from objectives.errors import InputError


class Room(NamedTuple):
    """What the model's context leaves beside each prompt, in tokens."""

    context: int
    beside: list[int]


def room_beside(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]
) -> Room | None:
    """Return the room beside each prompt, None where the model's context has no end."""
    context = context_of(model.config)
    if context is None:
        return None
    return Room(context, [context - len(ids) for ids in encode_texts(tokenizer, prompts)])


def fitting(
    name: str, room: Room | None, count: int, *, needed: int = 1, offset: int = 0
) -> list[int]:
    """Return which of `count` prompts leave room for the needed tokens; print how many do not.

    name: what the line calls the problems. offset: rows of their file before the first. Raises
    InputError where none does.
    """
    if room is None:
        return list(range(count))
    long = [index for index in range(count) if room.beside[index] < needed]
    if long:
        said = (
            f"{name}: {len(long)} of {count} problems left out (row {long[0] + offset + 1} is the "
            f"first): with {needed} token{'s' * (needed > 1)} of an answer the prompt "
            f"more than fills the model's context of {room.context} tokens"
        )
        if len(long) == count:
            raise InputError(f"{said}; choose another model, or fewer --max-new-tokens")
        print(said)
    return [index for index in range(count) if room.beside[index] >= needed]


def sample_benchmark(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    benchmark: Benchmark,
    problems: Sequence[Problem],
    plan: SamplingPlan,
    *,
    before: Sequence[dict],
    keep: Callable[[list[dict]], None],
    batch_size: int,
) -> None:
    """Sample what is missing of a benchmark, showing progress.

    before: completions that are there already, of finished problems. keep: called with the graded
    completions of each part, a dict each. batch_size: completions at once, and of a part.
    """
    prompts = [benchmark.prompt(tokenizer, problem.question) for problem in problems]
    room = room_beside(model, tokenizer, prompts)
    asked = fitting(benchmark.name, room, len(prompts))
    finished = {row["index"] for row in before}
    missing = [index for index in asked if index not in finished]
    size = max(1, batch_size // plan.samples)
    limit = min([plan.max_new_tokens, *(room.beside[index] for index in asked if room)])
    if limit < plan.max_new_tokens:
        print(
            f"{benchmark.name}: --max-new-tokens {plan.max_new_tokens} cut to {limit}, which the "
            f"model's context leaves beside the longest prompt"
        )
    tokens, done, verdicts = 0, len(before), _verdicts(before)
    started = time.monotonic()
    total = len(asked) * plan.samples
    with tqdm(total=total, initial=done, desc=benchmark.name, unit="completion") as bar:
        for start in range(0, len(missing), size):
            part = missing[start : start + size]
            begun = time.monotonic()
            sampled = generate(
                model,
                tokenizer,
                [prompts[index] for index in part],
                samples=plan.samples,
                temperature=plan.temperature,
                top_p=plan.top_p,
                max_new_tokens=limit,
                seed=plan.seed,
                keys=part,
                batch_size=batch_size,
                progress=lambda finished, _, first=done: bar.update(first + finished - bar.n),
            )
            flat = [(index, k, c) for index, row in zip(part, sampled, strict=True)
                    for k, c in enumerate(row)]  # fmt: skip
            grades = benchmark.grade(
                [problems[index] for index, _, _ in flat],
                [opened_thinking(prompts[index]) + c.text for index, _, c in flat],
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
                    **_thinking(prompts[index]),
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
            share = sum(verdicts) / max(1, len(verdicts))
            bar.set_postfix({"correct": f"{share:.1%}", "tokens/s": f"{rate:.0f}"})


def _verdicts(rows: Sequence[dict]) -> list[bool]:
    return [row["correct"] for row in rows if row["status"] != "unparseable_gold"]


def _thinking(prompt: str) -> dict:
    """Return the tag that a prompt opens thinking with, where it does: grading again needs it."""
    tag = opened_thinking(prompt)
    return {"thinking": tag} if tag else {}
