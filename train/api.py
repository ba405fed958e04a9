"""Training from Python: what `python -m train` does, for one run."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from objectives.errors import InputError
from train.config import Config
from train.config.spec import objective_spec

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from train.reporting.callbacks import Callback
    from train.run.result import Result
    from train.run.setup import Setup


def train(
    objective: str,
    config: Config | None = None,
    *,
    setup: "Setup | None" = None,
    model: "tuple[PreTrainedModel, PreTrainedTokenizerBase] | None" = None,
    data: "datasets.Dataset | Sequence[dict] | None" = None,
    resume: Literal["always", "auto"] | None = None,
    callbacks: "Sequence[Callback]" = (),
    **hyper: object,
) -> "Result":
    """Train a policy with an objective of the zoo; return how it went.

    objective: a name of `objectives.OBJECTIVES`, or `module:function`. config: the settings, by
    default `Config()` or those of `setup`. setup: base, data and problems of `set_up`, to be shared
    by several runs. model, data: as `set_up` has them, without one. resume: `always`, to go on from
    the last checkpoint in the run's folder, or `auto`, where there may be none. callbacks: told how
    the run goes (`train.Callback`). hyper: the objective's hyper-parameters, and its settings, as
    `lam`.
    The folder, by default `runs/OBJECTIVE`, then holds the model, metrics, pictures and a card.
    Raises InputError as the command does: for a misspelt objective or hyper-parameter, and for
    data, models and folders that cannot be used.
    """
    own = objective_spec(objective, hyper)
    if setup is not None and (model is not None or data is not None):
        raise InputError("model and data are the set-up's: give them to set_up")
    if config is None:
        config = Config() if setup is None else setup.config
    folder = Path(config.out or Path("runs") / own.short_name)

    # Imported here so that what is misspelt is answered at once.
    from train.run.result import read_result
    from train.run.session import Session
    from train.run.setup import set_up
    from train.run.sweep import PlannedRun, taken_up
    from train.store.folder import require_no_run
    from train.store.provenance import provenance

    if resume is None:
        require_no_run(folder)
    setup = set_up(config, model=model, data=data) if setup is None else setup.with_config(config)
    session = Session(setup, own, folder, callbacks=callbacks)
    with taken_up(PlannedRun(own, setup.config, folder), resume, sweep=False) as found:
        if found.done:
            return read_result(own.name, folder)
        origin = provenance(_call(objective, config, hyper))
        return session.train(origin, found.resume, show=True)


def _call(objective: str, config: Config, hyper: dict[str, object]) -> str:
    """Return the call as it could be written again, settings at their defaults left out."""
    changed = ", ".join(
        f"{entry.name}={getattr(config, entry.name)!r}"
        for entry in fields(config)
        if getattr(config, entry.name) != entry.default
    )
    given = "".join(f", {name}={value!r}" for name, value in hyper.items())
    return f"train({objective!r}, Config({changed}){given})"
