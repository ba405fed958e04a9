"""Folders of runs as python -m train writes them, of verdicts given by hand."""

import json
from pathlib import Path

from train.store.folder import read_metrics

COSTS = {
    "steps": 2, "seconds": 90.0, "training_seconds": 40.0, "generation_seconds": 20.0,
    "tokens_trained": 2000, "tokens_generated": 500, "flops": 3e12, "parameters": 640_000,
    "peak_memory_bytes": 2_500_000_000, "online": False,
}  # fmt: skip


def step_lines(folder: Path) -> list[dict]:
    """Return the lines of a run's metrics that are of steps."""
    return [line for line in read_metrics(folder) if "loss" in line]


def write_run(
    folder: Path,
    objective: str,
    greedy: dict[int, str],
    sampled: dict[int, str] | None = None,
    *,
    result: dict | None = COSTS,
    **settings,
) -> Path:
    """Write a run's folder and return it.

    greedy: by step, a digit per problem, 1 where its answer is right. sampled: likewise, how many
    of two samples are right. result: what result.json says beside COSTS; None: an older run, whose
    lines of steps tell tokens trained alone. settings: of config.json, over the usual ones.
    """
    folder.mkdir(parents=True)
    config = {
        "objective": objective, "model": "builtin", "data": "builtin", "steps": max(greedy),
        "learning_rate": 1e-5, "seed": 0, "batch_size": 64, "eval_samples": 2, "out": str(folder),
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config | settings))
    metrics, completions = [], []
    for step in range(max(greedy) + 1):
        if step:
            line = {"step": step, "loss": 0.5, "num_tokens": 1000 * step}
            if result is not None:
                line |= {"num_tokens_generated": 500, "flops": 1e12 * (1 + step)}
            metrics.append(line)
        if step not in greedy:
            continue
        accuracy = {"": 0.5, "_low": 0.4, "_high": 0.6}
        metrics.append(
            {"step": step} | {f"eval/greedy_accuracy{end}": v for end, v in accuracy.items()}
        )
        for mode, right, samples in (("greedy", greedy, 1), ("sampled", sampled, 2)):
            for problem, digit in enumerate(right[step] if right else ""):
                for sample in range(samples):
                    completions.append({
                        "step": step, "problem": problem, "mode": mode, "sample": sample,
                        "prompt": f"1+{problem}=", "gold": f"{1 + problem}", "completion": "#",
                        "correct": sample < int(digit), "truncated": False,
                    })  # fmt: skip
    for name, rows in (("metrics", metrics), ("eval", completions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(COSTS | result))
    return folder
