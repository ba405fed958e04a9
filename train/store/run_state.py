"""Everything that a run goes on from, written with its model and read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from objectives.errors import InputError
from train.data.micro_batches import TokenBudget
from train.devices import processes
from train.models.copies import copy_parameters
from train.store.checkpoints import write_checkpoint
from train.store.folder import RunFolder
from train.store.opened import load_checkpoint, open_run
from train.store.parts import load_optimizer, load_random, optimizer_state, random_state, read_state


class Stateful(Protocol):
    """A part of a run that changes while it trains."""

    def state_dict(self) -> tuple[dict[str, Tensor], dict]:
        """Return its state as tensors and as plain values."""
        ...

    def load_state_dict(self, tensors: dict[str, Tensor], values: dict) -> None:
        """Go on from what `state_dict` returned."""
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

    def save(self, step: int, unseen: Mapping[str, Any] | None = None) -> None:
        """Write the checkpoint after `step` updates.

        unseen: what is to be looked at of the policy still, as values; by default nothing.
        """
        states = {name: part.state_dict() for name, part in self.parts.items()}
        states["optimizer"] = optimizer_state(self.optimizer)
        states["random"] = random_state()
        values = {"step": step, "cost": vars(self.cost), "files": self.folder.sizes(),
                  "tokens_at_once": self.budget.tokens, "unseen": dict(unseen or {})}  # fmt: skip
        states["run"] = {}, values
        write_checkpoint(self.folder.path, step, self.policy, self.tokenizer, states, self.keep)

    def load(self) -> tuple[int, dict[str, Any]]:
        """Put the parts where the last checkpoint was written; return its step and `unseen`.

        Lines of metrics, completions and diagnostics written after it are cut off: they will be
        written again. Raises InputError where the checkpoint is not whole, or of another model.
        """
        found = open_run(self.folder.path)
        states = read_state(found.checkpoint)
        model = load_checkpoint(found, self.base, self.tokenizer)
        missing = self.parts.keys() - states.keys()
        if missing or "run" not in states:
            raise InputError(
                f"{found.checkpoint}: cannot go on from this checkpoint, it has no state of "
                f"{', '.join(sorted(missing)) or 'a run'}: start again in another folder with --out"
            )
        copy_parameters(model, self.policy)
        for name, part in self.parts.items():
            part.load_state_dict(*states[name])
        load_optimizer(self.optimizer, states["optimizer"])
        load_random(states["random"])
        values = states["run"][1]
        for name, value in values["cost"].items():
            setattr(self.cost, name, value)
        self.budget.tokens = values["tokens_at_once"]
        self.folder.cut(values["files"])
        processes.wait()
        return values["step"], values.get("unseen", {})
