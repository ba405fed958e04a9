"""The built-in tasks by name, and where their base models and rollouts are."""

from pathlib import Path

from eval.problems.chains import CHAINS

TASKS = ("builtin", *CHAINS)
SHIPPED = Path(__file__).parents[1] / "builtin"


def shipped_model(task: str) -> Path:
    """Return the folder of a task's base model."""
    return _folder(task) / "base"


def shipped_rollouts(task: str) -> Path:
    """Return the file of a task's rollouts."""
    return _folder(task) / "rollouts.parquet"


def _folder(task: str) -> Path:
    return SHIPPED if task == "builtin" else SHIPPED / task
