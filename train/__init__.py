"""The one harness that trains every objective, from the command line and from Python."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from train.api import train
    from train.config import Config
    from train.reporting.callbacks import Callback
    from train.run.result import Result
    from train.run.setup import set_up

__all__ = ["Callback", "Config", "Result", "set_up", "train"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Callback": "train.reporting.callbacks",
        "Config": "train.config",
        "Result": "train.run.result",
        "set_up": "train.run.setup",
        "train": "train.api",
    },
)
