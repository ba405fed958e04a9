"""The trackers that a run can report to."""

from importlib.util import find_spec

from objectives.errors import InputError
from objectives.spelling import did_you_mean

TRACKERS = ("tensorboard", "trackio", "wandb", "mlflow")  # each the name of its package, too


def read_trackers(text: str | None) -> list[str]:
    """Return the trackers that --report-to names, with commas between, each once.

    Raises InputError for a name that is none, with the near ones, and for one that is not
    installed.
    """
    if text is None or text == "none":
        return []
    names = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        if name not in TRACKERS:
            near = did_you_mean(name, TRACKERS)
            raise InputError(f"--report-to {name}: there are {', '.join(TRACKERS)}{near}")
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of that name, as wandb itself writes
            raise InputError(
                f"--report-to {name}: it is not installed: pip install 'objective-zoo[trackers]'"
            )
    return names
