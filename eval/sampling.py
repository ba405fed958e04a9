"""Sample and grade the completions of a benchmark, part by part."""

import time
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.context import context_of
from eval.generation import generate
from eval.problems.benchmarks import Benchmark, SamplingPlan
from eval.problems.files import Problem
from eval.prompts import encode_text
from objectives.errors import InputError


def fitting_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], wanted: int
) -> int:
    """Return the wanted length limit of completions, or what the model's context leaves of it.

    Raises InputError where a prompt alone fills the context.
    """
    context = context_of(model.config)
    if context is None:
        return wanted
    longest = max(prompts, key=lambda prompt: len(encode_text(tokenizer, prompt)))
    room = context - len(encode_text(tokenizer, longest))
    if room < 1:
        raise InputError(
            f"the prompt {longest[:40]!r}... fills the model's context of {context} tokens; leave "
            f"that problem out, or choose another model"
        )
    return min(wanted, room)


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
    finished = {row["index"] for row in before}
    missing = [index for index in range(len(problems)) if index not in finished]
    size = max(1, batch_size // plan.samples)
    limit = fitting_tokens(model, tokenizer, prompts, plan.max_new_tokens)
    if limit < plan.max_new_tokens:
        print(
            f"{benchmark.name}: --max-new-tokens {plan.max_new_tokens} cut to {limit}, which the "
            f"model's context leaves beside the longest prompt"
        )
    tokens, done, verdicts = 0, len(before), _verdicts(before)
    started = time.monotonic()
    total = len(problems) * plan.samples
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
                [problems[index] for index, _, _ in flat], [c.text for _, _, c in flat]
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
