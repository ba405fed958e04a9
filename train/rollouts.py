"""Sample and grade rollouts of a model on problems with gold answers.

    python -m train.rollouts --model smollm2 --problems problems.jsonl --samples 8 \\
        --temperature 0.7 --out rollouts.parquet

Sampled in parts, each written whole: the same command goes on where it was interrupted.
"""

import hashlib
import json
import math
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from eval.answers.final import opened_thinking
from eval.generation import generate
from eval.grading import grade
from eval.problems.files import Problem, load_problems
from eval.prompts import word_problem_prompt
from eval.sampling import fitting, room_beside
from eval.whole_files import write_whole
from objectives.errors import InputError, command_line
from train.config.flags import Parser, add_flags, check, flag, from_flags
from train.models.load import load_for_sampling


@dataclass(frozen=True)
class Settings:
    """What is sampled and how; each field is a flag."""

    model: str = flag("smollm2", "as for python -m train", "MODEL")
    problems: str = flag("", "JSON Lines, JSON, Parquet or CSV file of problems", "PATH")
    out: str = flag("rollouts.parquet", "table to write", "PATH")
    question_column: str | None = flag(None, "by default recognised", "NAME")
    answer_column: str | None = flag(None, "by default recognised", "NAME")
    limit: int | None = flag(None, "problems to sample on; by default all", above=0)
    offset: int = flag(0, "problems to skip first")
    samples: int = flag(8, "completions of each problem", above=0)
    temperature: float = flag(0.7, "of the samples")
    top_p: float = flag(1.0, "nucleus to sample from")
    max_new_tokens: int = flag(256, "length limit of a completion", "TOKENS", above=0)
    batch_size: int = flag(96, "completions at a time, and of a part", above=0)
    seed: int = flag(0, "seed of the samples")
    device: Literal["auto", "cpu", "cuda"] = flag("auto", "auto: cuda where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = flag(
        "auto", "of the weights; auto: bfloat16 on cuda, else float32"
    )

    def __post_init__(self):
        if not self.problems:
            raise InputError("name a file of problems with --problems")
        if Path(self.out).suffix != ".parquet":
            raise InputError(f"--out {self.out}: expected a name ending in .parquet")
        check(self)


class Parts:
    """The finished parts of a table, beside the file that they will become."""

    def __init__(self, out: Path, settings: dict):
        self.out, self.folder = out, out.with_name(out.name + ".parts")
        if out.exists():
            raise InputError(f"--out {out} exists: name another file, or remove it")
        record = self.folder / "settings.json"
        if record.exists() and json.loads(record.read_text()) != settings:
            raise InputError(
                f"{self.folder} holds parts sampled with other settings: repeat those, name "
                f"another --out, or remove it"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(settings))

    def path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"

    def write(self, number: int, rows: list[dict]) -> None:
        """Write a part, whole or not at all."""
        frame = pd.DataFrame(rows)
        write_whole(self.path(number), lambda path: frame.to_parquet(path, index=False))

    def join(self, count: int) -> pd.DataFrame:
        """Put the parts together as the table, then remove them; return all rows.

        Rows whose gold answer cannot be read are not in the table: they are not wrong.
        """
        read = [pd.read_parquet(self.path(n)) for n in range(count)]
        every = pd.concat([part for part in read if len(part)], ignore_index=True)
        frame = every[every["status"] != "unparseable_gold"]
        write_whole(self.out, lambda path: frame.to_parquet(path, index=False))
        shutil.rmtree(self.folder)
        return every


def sample_part(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: list[tuple[int, Problem]],
    settings: Settings,
) -> list[dict]:
    """Return graded completions of numbered problems, a row each."""
    prompts = [word_problem_prompt(tokenizer, problem.question) for _, problem in problems]
    sampled = generate(
        model,
        tokenizer,
        prompts,
        samples=settings.samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        keys=[number for number, _ in problems],
        batch_size=settings.batch_size,
    )
    flat = [(i, completion) for i, row in enumerate(sampled) for completion in row]
    golds = [problems[i][1].answer for i, _ in flat]
    grades = grade(
        [opened_thinking(prompts[i]) + completion.text for i, completion in flat],
        golds,
        truncated=[completion.truncated for _, completion in flat],
        questions=[problems[i][1].question for i, _ in flat],
    )
    return [
        {
            "prompt": prompts[i],
            "completion": completion.text,
            "completion_ids": completion.tokens,
            "reward": 1.0 if verdict.correct else -1.0,
            "group_id": problems[i][0],
            "truncated": completion.truncated,
            "answer": verdict.answer,
            "gold": gold,
            "status": verdict.status,
            "boxed": verdict.boxed,
        }
        for (i, completion), verdict, gold in zip(flat, grades, golds, strict=True)
    ]


def sample_rollouts(settings: Settings) -> pd.DataFrame:
    """Sample, grade and write the table that the settings ask for; return it."""
    problems = load_problems(
        settings.problems,
        question_column=settings.question_column,
        answer_column=settings.answer_column,
        limit=settings.limit,
        offset=settings.offset,
    )
    digest = hashlib.sha256(Path(settings.problems).read_bytes()).hexdigest()
    record = {k: v for k, v in asdict(settings).items() if k != "out"}
    parts = Parts(Path(settings.out), {**record, "problems_sha256": digest})
    per_part = max(1, settings.batch_size // settings.samples)
    numbered = list(enumerate(problems, settings.offset))
    groups = [numbered[n : n + per_part] for n in range(0, len(numbered), per_part)]
    missing = [n for n in range(len(groups)) if not parts.path(n).exists()]
    if missing:
        model, tokenizer = load_for_sampling(settings.model, settings.device, settings.dtype)
        # All prompts before the first part, so that none stops the others in the middle.
        prompts = [word_problem_prompt(tokenizer, problem.question) for problem in problems]
        fits = fitting(
            settings.problems, room_beside(model, tokenizer, prompts), len(prompts),
            needed=settings.max_new_tokens, offset=settings.offset,
        )  # fmt: skip
        kept = {settings.offset + place for place in fits}
    started, tokens, correct, rows = time.monotonic(), 0, 0, 0
    with tqdm(total=len(groups), initial=len(groups) - len(missing), unit="part") as bar:
        for number in missing:
            group = [(n, problem) for n, problem in groups[number] if n in kept]
            part = sample_part(model, tokenizer, group, settings) if group else []
            parts.write(number, part)
            rows += len(part)
            tokens += sum(len(row["completion_ids"]) for row in part)
            correct += sum(row["reward"] > 0 for row in part)
            rate = tokens / (time.monotonic() - started)
            bar.set_postfix({"correct": f"{correct / max(1, rows):.1%}", "tokens/s": f"{rate:.0f}"})
            bar.update()
    return parts.join(len(groups))


def summary(table: pd.DataFrame) -> str:
    """Return what came out of sampling, as text."""
    status = Counter(table["status"])
    rows = [row for row in table.to_dict("records") if row["status"] != "unparseable_gold"]
    verdicts: dict[int, list[bool]] = {}  # by problem
    for row in rows:
        verdicts.setdefault(row["group_id"], []).append(row["reward"] > 0)
    correct = sum(map(sum, verdicts.values()))
    unboxed = sum(row["reward"] > 0 and not row.get("boxed", True) for row in rows)
    mixed = sum(0 < sum(own) < len(own) for own in verdicts.values())
    return (
        f"{len(rows)} completions of {len(verdicts)} problems, "
        f"{sum(len(row['completion_ids']) for row in rows)} tokens\n"
        f"correct {correct} ({correct / len(rows) if rows else math.nan:.1%}), "
        f"truncated {sum(row['truncated'] for row in rows)}, "
        f"unparseable {status['unparseable']}, correct without a box {unboxed}, "
        f"timed out {status['timeout']}, "
        f"left out for an unparseable gold answer {status['unparseable_gold']}\n"
        f"problems with correct and incorrect completions: {mixed}"
    )


def main() -> None:
    parser = Parser("train.rollouts", __doc__)
    add_flags(parser, Settings)
    settings = from_flags(Settings, parser.parse_args())
    print(summary(sample_rollouts(settings)))
    print(settings.out)


if __name__ == "__main__":
    command_line(main)
