"""Everything that a run goes on from, written with its model and read back."""

from typing import TYPE_CHECKING

from objectives.errors import InputError
from train.devices import processes
from train.models.copies import copy_parameters
from train.store.checkpoints import write_checkpoint
from train.store.opened import load_checkpoint, open_run
from train.store.parts import load_optimizer, load_random, optimizer_state, random_state, read_state

if TYPE_CHECKING:
    from train.run.loop import Run


def _parts(run: "Run") -> dict:
    """Return what has a state of its own, by name."""
    learner = run.learner
    parts = {"anchors": learner.anchors, "lagged": learner.lagged, "lam": run.auto_lam,
             "diagnosis": run.diagnosis, "data": run.data if run.data.online else None}  # fmt: skip
    return {name: part for name, part in parts.items() if part is not None}


def save(run: "Run", step: int) -> None:
    """Write a run's checkpoint after `step` updates."""
    states = {name: part.state_dict() for name, part in _parts(run).items()}
    states["optimizer"] = optimizer_state(run.optimizer)
    states["random"] = random_state()
    values = {"step": step, "cost": vars(run.cost), "files": run.folder.sizes(),
              "tokens_at_once": run.work.budget.tokens}  # fmt: skip
    states["run"] = {}, values
    model, tokenizer = run.learner.policy.model, run.ground.tokenizer
    keep = run.config.keep_checkpoints
    write_checkpoint(run.folder.path, step, model, tokenizer, states, keep)


def load(run: "Run") -> int:
    """Put a prepared run where its last checkpoint was written; return its step.

    Lines of metrics, completions and diagnostics written after it are cut off: they will be
    written again. Raises InputError where the checkpoint is not whole, or of another model.
    """
    found = open_run(run.folder.path)
    states = read_state(found.checkpoint)
    model = load_checkpoint(found, run.ground.base.model, run.ground.tokenizer)
    parts = _parts(run)
    missing = parts.keys() - states.keys()
    if missing or "run" not in states:
        raise InputError(
            f"{found.checkpoint}: cannot go on from this checkpoint, it has no state of "
            f"{', '.join(sorted(missing)) or 'a run'}: start again in another folder with --out"
        )
    copy_parameters(model, run.learner.policy.model)
    for name, part in parts.items():
        part.load_state_dict(*states[name])
    load_optimizer(run.optimizer, states["optimizer"])
    load_random(states["random"])
    values = states["run"][1]
    for name, value in values["cost"].items():
        setattr(run.cost, name, value)
    run.work.budget.tokens = values["tokens_at_once"]
    run.folder.cut(values["files"])
    processes.wait()
    return values["step"]
