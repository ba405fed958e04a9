"""Everything that a run goes on from, written with its model and read back."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from diagnostics.parameters import trained_parameters
from objectives.errors import InputError
from objectives.json_files import require
from train.data.micro_batches import TokenBudget
from train.devices import processes
from train.models.copies import copy_parameters
from train.models.kinds import first_of
from train.store.checkpoints import write_checkpoint
from train.store.folder import GROWING, RunFolder
from train.store.opened import load_checkpoint, open_run
from train.store.optimizer_state import load_optimizer, optimizer_state
from train.store.parts import State, load_random, random_state, read_state, state_files

OURS = ("optimizer", "random", "run")  # parts of every state
VALUES = {"step": int, "cost": dict, "files": dict, "tokens_at_once": (int, type(None))}
MOST = 2**63
# What a state raises that is of other parameters, or not of a run at all.
STRANGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


class Stateful(Protocol):
    """A part of a run that changes while it trains."""

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return its state as tensors and as plain values."""
        ...

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned; raises ValueError for what is of another run."""
        ...


@dataclass(frozen=True)
class RunState:
    """A run's parts, as `checkpoints/step-N` keeps them.

    Names of parts, and the attributes of `cost`, are what the files of old runs have.
    """

    folder: RunFolder
    base: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    policy: PreTrainedModel
    optimizer: torch.optim.Optimizer
    cost: Any  # whose attributes are numbers
    budget: TokenBudget
    parts: Mapping[str, Stateful]  # by name
    keep: int = 0  # newest checkpoints to keep; 0: all
    digests: Mapping[str, str] | None = None  # of what the run is made from

    def save(
        self, step: int, unseen: Mapping[str, Any] | None = None, exempt: Collection[int] = ()
    ) -> Path:
        """Write the checkpoint after `step` updates; return its folder.

        unseen: what is to be looked at of the policy still, as values; by default nothing.
        exempt: steps whose checkpoints stay, however many newer ones there are.
        """
        states = {name: part.state_dict() for name, part in self.parts.items()}
        states["optimizer"] = optimizer_state(self.optimizer, self._trained())
        states["random"] = random_state()
        values = {"step": step, "cost": vars(self.cost), "files": self.folder.sizes(),
                  "tokens_at_once": self.budget.tokens, "unseen": dict(unseen or {}),
                  "digests": dict(self.digests or {})}  # fmt: skip
        states["run"] = {}, values
        return write_checkpoint(
            self.folder.path, step, self.policy, self.tokenizer, states, self.keep, exempt
        )

    def load(self) -> tuple[int, dict[str, Any]]:
        """Put the parts where the last checkpoint was written; return its step and `unseen`.

        Lines of metrics, completions and diagnostics written after it are cut off: they will be
        written again. Raises InputError where the checkpoint is not whole, or of another model.
        """
        found = open_run(self.folder.path)
        states = read_state(found.checkpoint)
        model = load_checkpoint(found, self.base, self.tokenizer)
        self._check_parts(found.checkpoint, states)
        values = self._values(found.checkpoint, found.step, states["run"][1])
        with _fitting(found.checkpoint, "the optimizer"):
            done = values["step"]
            line = load_optimizer(self.optimizer, self._trained(), states["optimizer"], done)
        if line:
            print(f"{found.checkpoint}: {line}", flush=True)
        copy_parameters(model, self.policy)
        for name, part in self.parts.items():
            with _fitting(found.checkpoint, name):
                part.load_state_dict(*states[name])
        with _fitting(found.checkpoint, "the random generators"):
            load_random(states["random"])
        for name, value in values["cost"].items():
            setattr(self.cost, name, value)
        self.budget.tokens = values["tokens_at_once"]
        self.folder.cut(values["files"])
        processes.wait()
        return values["step"], values.get("unseen", {})

    def _trained(self) -> list[str]:
        return list(trained_parameters(self.policy))

    def _check_parts(self, checkpoint: Path, states: Mapping[str, State]) -> None:
        """Raise InputError where the state is of fewer parts than the run has, or of more."""
        wanted = {*self.parts, *OURS}
        # Only the main process watches probes.
        surplus = states.keys() - wanted if processes.is_main() else set()
        for names, what in ((wanted - states.keys(), "it has no"), (surplus, "it has a")):
            if names:
                raise InputError(
                    f"{checkpoint}: cannot go on from this checkpoint, {what} state of "
                    f"{first_of(names)}{' that this run has not' if names is surplus else ''}: "
                    f"start again in another folder with --out"
                )

    def _values(self, checkpoint: Path, step: int, values: dict) -> dict:
        """Return what the state says of the run itself, once that is known to be of one."""
        with _fitting(checkpoint, "the run"):
            require("it", values, VALUES)
            if values["step"] != step:
                raise ValueError(f"it is of step {values['step']}")
            require("cost", values["cost"], dict.fromkeys(values["cost"], (int, float)))
            if strange := values["cost"].keys() - vars(self.cost).keys():
                raise ValueError(f"cost has {first_of(strange)}, for which there is no place")
            counts = values["cost"] | values["files"]
            require("files", values["files"], dict.fromkeys(values["files"], int))
            if strange := values["files"].keys() - set(GROWING):
                raise ValueError(f"files has {first_of(strange)}, which is none of a run's")
            if strange := [name for name, own in counts.items() if not 0 <= own < MOST]:
                raise ValueError(f"{first_of(strange)}: no number that could be")
            unseen = values.get("unseen", {})
            require("it", {"unseen": unseen}, {"unseen": dict})
            if unseen:
                require("unseen", unseen, {"looks": list, "lam": (int, float, type(None))})
        return values


@contextmanager
def _fitting(checkpoint: Path, part: str) -> Iterator[None]:
    """Turn what a part raises for a state that is not its own into one line that names the file."""
    try:
        yield
    except (InputError, *STRANGE) as error:
        file, _ = state_files(checkpoint)
        reason = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else error
        raise InputError(
            f"{file}: cannot go on from this checkpoint, its state of {part} does not fit this run "
            f"({reason}): remove {checkpoint.name} to go on from the one before, or start again in "
            f"another folder with --out"
        ) from None
