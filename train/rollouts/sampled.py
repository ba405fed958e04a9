"""Rollouts sampled in parts, graded and put together; what came out in words, and on the hub."""

import hashlib
import math
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from eval.answers.final import opened_thinking
from eval.engines.interface import Engine
from eval.generation import generate
from eval.grading import grade
from eval.problems.benchmark import row_text
from eval.problems.files import Problem, load_problems, worked_solutions
from eval.problems.rewards import Reward, load_reward
from eval.prompt_check import Limit, asked, check_prompts, share_cut, solution_lengths
from eval.prompts import question_prompt, word_problem_prompt
from objectives.errors import InputError
from objectives.output_lock import held
from train.rollouts.settings import Settings
from train.sampling.engines import open_engine
from train.sampling.rollout_parts import Asked, Parts
from train.store.hub import open_repository, push
from train.store.hub_cards import rollouts_card
from train.store.origin import origin_of_samples
from train.store.provenance import called

UNSAMPLED = (
    "out",
    "push_to_hub",
    "hub_private",
    "engine",
    "engine_memory",
    "reward",  # put beside its source
)  # settings of which no completion depends


def sample_part(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    problems: list[Asked],
    settings: Settings,
    reward: Reward | None = None,
) -> list[dict]:
    """Return graded completions of problems, a row each; by a reward where there is one."""
    sampled = generate(
        engine,
        tokenizer,
        [entry.prompt for entry in problems],
        samples=settings.samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        keys=[entry.number for entry in problems],
    )
    flat = [(i, completion) for i, row in enumerate(sampled) for completion in row]
    asked_of = [problems[i].problem for i, _ in flat]
    golds = [problem.answer for problem in asked_of]
    texts = [opened_thinking(problems[i].prompt) + completion.text for i, completion in flat]
    if reward is None:
        grades = grade(
            texts,
            golds,
            truncated=[completion.truncated for _, completion in flat],
            questions=[problem.question for problem in asked_of],
        )
        graded = [
            {"reward": 1.0 if verdict.correct else -1.0, "answer": verdict.answer,
             "status": verdict.status, "boxed": verdict.boxed}
            for verdict in grades
        ]  # fmt: skip
    else:
        graded = [
            {"reward": verdict.reward, "status": "ok", "row": row_text(problem)}
            for problem, verdict in zip(asked_of, reward(asked_of, texts), strict=True)
        ]
    return [
        {
            "prompt": problems[i].prompt,
            "completion": completion.text,
            "completion_ids": completion.tokens,
            "group_id": problems[i].number,
            "truncated": completion.truncated,
            "gold": gold,
            **own,
        }
        for (i, completion), own, gold in zip(flat, graded, golds, strict=True)
    ]


def sample_rollouts(settings: Settings) -> pd.DataFrame:
    """Sample, grade and write the table that the settings ask for; return it."""
    reward = None if settings.reward is None else load_reward(settings.reward)
    problems = load_problems(
        settings.problems,
        question_column=settings.question_column,
        answer_column=settings.answer_column,
        limit=settings.limit,
        offset=settings.offset,
        gold=reward is None,
    )
    digest = hashlib.sha256(Path(settings.problems).read_bytes()).hexdigest()
    if settings.push_to_hub is not None:
        open_repository(settings.push_to_hub, "dataset", settings.hub_private)
    record = {k: v for k, v in asdict(settings).items() if k not in UNSAMPLED}
    record |= settings.engine_record() | (reward.record() if reward else {})
    with held(Path(settings.out)):
        return _sampled(settings, problems, reward, Parts(Path(settings.out), record, digest))


def _sampled(
    settings: Settings, problems: list[Problem], reward: Reward | None, parts: Parts
) -> pd.DataFrame:
    engine, tokenizer = open_engine(
        settings.model, settings, settings.device, settings.dtype,
        settings.batch_size, settings.max_new_tokens,
    )  # fmt: skip
    limit, where = Limit(settings.max_new_tokens), (settings.problems, settings.offset)
    questions = [problem.question for problem in problems]
    ask = word_problem_prompt if reward is None else question_prompt
    prompts = asked(ask, tokenizer, questions, *where)
    checked = check_prompts(engine, tokenizer, prompts, limit, *where)
    # What a part holds does not depend on what is left out: those of an earlier start still fit.
    per_part = max(1, settings.batch_size // settings.samples)
    groups: list[list[Asked]] = [[] for _ in range(0, len(problems), per_part)]
    for place in checked.kept:
        entry = Asked(settings.offset + place, problems[place], prompts[place])
        groups[place // per_part].append(entry)
    where, command = f"{parts.record}", called("train.rollouts")
    making = origin_of_samples(where, settings.model, command, parts.before, engine.name)
    missing = parts.open(groups, making)
    for line in checked.lines():
        print(line)
    lengths = solution_lengths(tokenizer, worked_solutions(problems))
    cut = share_cut(lengths, limit, f"solutions in {settings.problems}")
    cut = cut or share_cut(parts.lengths(), limit, "completions of the parts that are there")
    if cut:
        print(cut, flush=True)
    started, tokens, rewards = time.monotonic(), 0, []
    with tqdm(total=len(groups), initial=len(groups) - len(missing), unit="part") as bar:
        for number in missing:
            part = sample_part(engine, tokenizer, groups[number], settings, reward)
            parts.write(number, part)
            tokens += sum(len(row["completion_ids"]) for row in part)
            rewards += [row["reward"] for row in part]
            rate = tokens / (time.monotonic() - started)
            if reward is None:
                shown = {"correct": f"{sum(own > 0 for own in rewards) / len(rewards):.1%}"}
            else:
                shown = {"reward": f"{sum(rewards) / len(rewards):.3f}"}
            bar.set_postfix({**shown, "tokens/s": f"{rate:.0f}"})
            bar.update()
    return parts.join(checked.left_out)


def summary(table: pd.DataFrame) -> str:
    """Return what came out of sampling, as text."""
    if "row" in table:
        return _rewarded_summary(table)
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
        f"{_problems_left_out(table)}"
        f"problems with correct and incorrect completions: {mixed}"
    )


def _rewarded_summary(table: pd.DataFrame) -> str:
    rewards, by_problem = table["reward"], table.groupby("group_id")["reward"]
    return (
        f"{len(table)} completions of {by_problem.ngroups} problems, "
        f"{sum(map(len, table['completion_ids']))} tokens\n"
        f"mean reward {rewards.mean():.3f} ({rewards.min():.3f} to {rewards.max():.3f}), "
        f"above 0 {(rewards > 0).mean():.1%}, truncated {table['truncated'].sum()}\n"
        f"{_problems_left_out(table)}"
        f"problems whose completions differ in reward: {(by_problem.nunique() > 1).sum()}"
    )


def _problems_left_out(table: pd.DataFrame) -> str:
    count = sum(table.attrs.get("left_out", {}).values())
    return f"problems left out for a prompt that does not fit: {count}\n" if count else ""


def push_table(settings: Settings, repo: str, said: str) -> str:
    """Put the table in a repository of the hub, with a card; return where. Raises InputError."""
    name = Path(settings.out).name
    card = rollouts_card(asdict(settings), called("train.rollouts"), said, name)
    try:
        return push(repo, "dataset", {name: Path(settings.out), "README.md": card}, "rollouts")
    except InputError as error:
        later = f"hf upload {repo} {settings.out} --repo-type dataset"
        raise InputError(f"{error}; {settings.out} is whole: {later} pushes it") from None
