"""What rewarded completions of a benchmark come to: the mean reward, and what it leaves unsaid."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from eval.completions import is_reward
from eval.statistics import average_at_k, mean_interval, pass_at_k, score_interval
from objectives.errors import InputError
from objectives.text_table import aligned


@dataclass(frozen=True)
class RewardScore:
    """A benchmark's results where a reward graded it."""

    benchmark: str
    problems: int
    samples: int  # k, completions of each
    mean_reward: float
    low: float | None  # 95 % interval over problems; None where all are alike, or one
    high: float | None
    least: float
    most: float
    pass_at_k: float | None  # where every reward is 0 or 1; it means nothing else
    truncated: float  # share of the completions
    tokens: int
    seconds: float

    def as_dict(self) -> dict:
        return asdict(self)


def reward_score(benchmark: str, rows: Sequence[dict]) -> RewardScore:
    """Return the score of a benchmark's rewarded completions.

    rows: as `completions.jsonl` has them; of each, index (of the problem), sample and reward are
    needed. The interval is Student's t over the problems' means or, where every reward is 0 or 1,
    that of a share. Raises InputError where problems differ in their number of completions, or a
    row has no reward.
    """
    problems: dict[int, list[float]] = {}
    for row in sorted(rows, key=lambda row: (row["index"], row["sample"])):
        problems.setdefault(row["index"], []).append(_reward(benchmark, row))
    rewards = list(problems.values())
    samples = len(rewards[0])
    for index, own in problems.items():
        if len(own) != samples:
            raise InputError(
                f"{benchmark}: problem {index} has {len(own)} completions where others have "
                f"{samples}; finish the run, or leave that problem out"
            )
    flat = [reward for own in rewards for reward in own]
    means, share = average_at_k(rewards), is_share(flat)
    mean, low, high = score_interval(means) if share else mean_interval(means)
    return RewardScore(
        benchmark,
        len(rewards),
        samples,
        float(mean),
        *(None if math.isnan(end) else float(end) for end in (low, high)),
        least=min(flat),
        most=max(flat),
        pass_at_k=_pass_at_k(rewards) if share else None,
        truncated=sum(bool(row.get("truncated")) for row in rows) / len(rows),
        tokens=sum(row.get("tokens", 0) for row in rows),
        seconds=round(sum(row.get("seconds", 0) for row in rows), 1),
    )


def _pass_at_k(rewards: list[list[float]]) -> float:
    correct = [[reward == 1 for reward in own] for own in rewards]
    return float(pass_at_k(correct, len(correct[0])).mean())


def is_share(rewards: Sequence[float]) -> bool:
    """Say whether every reward is 0 or 1, so that their mean is a share of completions."""
    return all(reward in (0, 1) for reward in rewards)


def _reward(benchmark: str, row: dict) -> float:
    if not is_reward(row.get("reward")):
        raise InputError(
            f"{benchmark}: completion {row['sample']} of problem {row['index']} has no reward: "
            f"grade them again with --completions and --reward"
        )
    return float(row["reward"])


HEADER = ("benchmark", "problems", "k", "mean reward [95 %]", "least", "most", "pass@k",
          "truncated", "tokens", "seconds")  # fmt: skip


def reward_table(scores: Sequence[RewardScore]) -> str:
    """Return scores as a table of text, a line for each, and what is not said of them."""
    table = aligned([HEADER, *map(_cells, scores)], numbers=True)
    without = [score.benchmark for score in scores if score.pass_at_k is None]
    if not without:
        return table
    names = ", ".join(without)
    return f"{table}\nno pass@k and no maj@k of {names}: its rewards are not all 0 or 1"


def _cells(score: RewardScore) -> tuple[str, ...]:
    mean = f"{score.mean_reward:.3f}"
    if score.low is not None and score.high is not None:
        mean = f"{mean} [{score.low:.3f}, {score.high:.3f}]"
    return (
        score.benchmark,
        str(score.problems),
        str(score.samples),
        mean,
        f"{score.least:.3f}",
        f"{score.most:.3f}",
        "-" if score.pass_at_k is None else f"{score.pass_at_k:.3f}",
        f"{score.truncated:.3f}",
        str(score.tokens),
        f"{score.seconds:.0f}",
    )
