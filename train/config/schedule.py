"""Schedules of the learning rate: which there are, and the options of those of transformers."""

from typing import Any, Literal, get_args

from objectives.errors import InputError

# Ours; after it those of transformers.get_scheduler that are functions of the step alone. All warm
# up alike: theirs would begin with an update at rate 0.
Own = Literal["constant", "linear", "cosine"]
Schedule = Literal[
    "constant", "linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "inverse_sqrt",
    "polynomial", "warmup_stable_decay",
]  # fmt: skip


def is_own(schedule: str) -> bool:
    return schedule in get_args(Own)


def read_options(schedule: str, text: str | None) -> dict[str, Any]:
    """Return the options that `--schedule-options` states, such as `num_cycles=3`.

    Raises InputError for other text, and where the schedule is one that has none.
    """
    if text is None:
        return {}
    if is_own(schedule):
        raise InputError(f"--schedule-options {text}: --schedule {schedule} has none")
    options = {}
    for word in text.split(","):
        name, equals, value = (part.strip() for part in word.partition("="))
        if not (name.isidentifier() and equals and value):
            raise InputError(
                f"--schedule-options {text}: expected names with values and commas between, such "
                f"as num_cycles=3"
            )
        options[name] = _number(value)
    return options


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
