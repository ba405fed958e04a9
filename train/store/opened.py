"""Reading a run's folder back: its settings, its checkpoints, and the policy at one of them."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError
from objectives.json_files import read_object, require, shown
from objectives.own_code import is_own
from train.config.flags import flagged
from train.config.settings import Config
from train.config.spec import ObjectiveSpec, recorded_spec
from train.config.values import expected, fits
from train.models.adapters import is_adapter
from train.models.load import load_model
from train.store.checkpoints import find_checkpoints
from train.store.folder import read_metrics


@dataclass(frozen=True)
class CheckpointedRun:
    """What a run's `config.json` says, and one of its checkpoints."""

    path: Path
    config: dict
    step: int
    checkpoint: Path

    @property
    def spec(self) -> ObjectiveSpec:
        """The objective as the run was made with it."""
        return recorded_spec(self.config)

    @property
    def lam(self) -> float | None:
        """The λ of its future policy, and where it followed forecasts the last that was used."""
        lam = self.config.get("lam")
        if not isinstance(lam, str):
            return lam
        lines = [m for m in read_metrics(self.path) if "lam" in m and m["step"] <= self.step]
        return lines[-1]["lam"] if lines else None


def read_settings(path: Path) -> dict:
    """Return a run's settings. Raises InputError where there are none, or of something else."""
    file = path / "config.json"
    if not file.is_file():
        raise InputError(f"--run {path}: no run there (it has no config.json)")
    try:
        config = read_object(file)
        require(str(file), config, {"objective": str, "model": str, "data": str})
        if not is_own(config["objective"]):
            recorded_spec(config)
        for entry in flagged(Config):
            value = config.get(entry.name, entry.default)
            if not fits(entry.type, value):
                what = f"{entry.name} is {shown(value)}, expected {expected(entry.type)}"
                raise InputError(f"{file}: {what}")
    except InputError as error:
        reason = str(error).removeprefix(f"{file}: ")
        raise InputError(
            f"{file}: not the settings of a run of python -m train ({reason})"
        ) from None
    if is_own(config["objective"]):  # code of a user's: what is wrong with it is not the file's
        recorded_spec(config)
    return config


def open_run(path: Path, step: int | None = None) -> CheckpointedRun:
    """Read a run's settings and find its checkpoint of a step, by default the last.

    Raises InputError where the folder holds no run, no such checkpoint, or settings that cannot
    be read.
    """
    config, found = read_settings(path), find_checkpoints(path)
    if not found:
        raise InputError(f"--run {path}: it has no checkpoint yet")
    step = max(found) if step is None else step
    if step not in found:
        known = ", ".join(map(str, sorted(found)))
        raise InputError(f"--checkpoint {step}: {path} has checkpoints of steps {known}")
    return CheckpointedRun(path, config, step, found[step])


def load_checkpoint(
    run: CheckpointedRun, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """Return the run's policy at its checkpoint, frozen, on the base model's device.

    base, tokenizer: what the run began from. Raises InputError where the checkpoint cannot be
    loaded or is of another model or vocabulary.
    """
    if is_adapter(run.checkpoint):
        from train.models.lora import load_adapter

        return load_adapter(base, run.checkpoint)
    try:
        model, own = load_model(str(run.checkpoint), device=str(base.device))
    except InputError as error:
        raise InputError(str(error).replace("--model ", "", 1)) from None
    if own.get_vocab() != tokenizer.get_vocab():
        raise InputError(
            f"{run.checkpoint} has another vocabulary than {run.config['model']}, from which its "
            f"run began: {len(own)} and {len(tokenizer)} tokens"
        )
    ours, theirs = ({n: p.shape for n, p in m.named_parameters()} for m in (model, base))
    if ours != theirs:
        differ = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        raise InputError(
            f"{run.checkpoint} is not a checkpoint of {run.config['model']}, from which its run "
            f"began: they differ in {differ[0]} and {len(differ) - 1} more parameters"
        )
    return model.requires_grad_(False)
