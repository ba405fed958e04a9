"""What a run shows while it trains, and to whom it is told."""

from dataclasses import dataclass

from train.config.flags import flag
from train.config.trackers import TRACKERS


@dataclass(frozen=True)
class ReportingConfig:
    """What is shown while it trains, and to whom it is told."""

    report_to: str | None = flag(
        None,
        f"trackers that get what metrics.jsonl gets, with commas between: {', '.join(TRACKERS)}",
        "NAMES",
        changes="nothing",
    )
    log_every: int = flag(
        10,
        "steps between lines of figures, where standard error is no terminal to show a bar on",
        "STEPS",
        above=0,
        changes="nothing",
    )
    push_to_hub: str | None = flag(
        None,
        "repository of the Hugging Face hub to put the trained model in, with its card, pictures "
        "and records",
        "USER/NAME",
        changes="nothing",
    )
    hub_private: bool = flag(
        False, "make that repository private, where it is not there yet", changes="nothing"
    )
    quiet: bool = flag(False, "neither bar nor lines while it trains", changes="nothing")
