"""A training step at full size without its numbers: the bytes that would be there at its peak.

Tensors have shapes and no storage (torch's FakeTensorMode), so that a model of seven billion
parameters takes seconds of one core and no memory; what is alive is counted as it comes and goes.

python -m tests.helpers.simulated_step RECIPE [RANK]    prints the bytes computed and simulated

It is a process of its own: torch's bookkeeping of tensors without storage is not made to be torn
down beside others.
"""

import gc
import os
import sys
from typing import NamedTuple, cast
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_iter
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from diagnostics.parameters import trained_parameters
from objectives import OBJECTIVES, Batch, Head
from objectives.causal_lm import backbone_of
from train.config.recipe import READY, recipe_of
from train.config.settings import Config
from train.data.input_rows import collate
from train.data.micro_batches import MicroBatch
from train.data.tokens import Tokens
from train.devices.choice import Precision, forward_precision
from train.learning.policies import Policies
from train.memory.footprint import MemoryPlan, parts, peak
from train.memory.shape import shape_of
from train.models.in_place import adding_embedding_rows
from train.models.language_model import LanguageModel, recompute_layers
from train.models.reference_states import ReferenceStates

OBJECTIVE, LAM = OBJECTIVES["fpa"], 1.0


class Alive(TorchDispatchMode):
    """Finds the most bytes of storages that are alive at a time."""

    def __init__(self):
        super().__init__()
        self.bytes = self.peak = 0
        self.known: dict[int, tuple[StorageWeakRef, int]] = {}

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            before, gone = self.known[key]
            if not before.expired():
                return
            self.bytes -= gone
        self.known[key] = StorageWeakRef(storage), size
        self.bytes += size
        if self.bytes > self.peak:
            self._forget()
            self.peak = max(self.peak, self.bytes)

    def _forget(self) -> None:
        for key, (storage, size) in [*self.known.items()]:
            if storage.expired():
                del self.known[key]
                self.bytes -= size

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return out


def simulated_peak(config: PreTrainedConfig, plan: MemoryPlan) -> int:
    """Return the most bytes alive in a step of two micro-batches, on one device.

    The optimizer has its moments already, and gradients are there from the first micro-batch on, as
    in all steps but the first.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    # Which rows hold several texts is asked of values; none does, and there is no mask then.
    with (
        fake,
        mock.patch("transformers.masking_utils.find_packed_sequence_indices", return_value=None),
        # Products are as a GPU gives them, though the tensors are those of a CPU.
        mock.patch("objectives.products.has_bfloat16", return_value=True),
        mock.patch("objectives.products.gives_float32", return_value=True),
    ):
        policies = _policies(config, plan, fake)
        policy = policies.policy.model
        optimizer = torch.optim.AdamW(trained_parameters(policy).values(), foreach=False)
        for parameter in trained_parameters(policy).values():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        micro = _micro_batch(plan, fake)
        with Alive() as alive:
            for tensor in _lasting(policies, optimizer):
                alive.add(tensor)
            with adding_embedding_rows(policy):
                for _ in range(2):
                    log_probs, batch, _ = policies.evaluate(micro, LAM, in_place=True)
                    OBJECTIVE(log_probs, batch).mean().backward()
                    del log_probs, batch
            optimizer.step()
    return alive.peak


def _policies(config: PreTrainedConfig, plan: MemoryPlan, fake: FakeTensorMode) -> Policies:
    precision = forward_precision("cpu", plan.half)
    half = plan.half and plan.lora_rank is not None
    base = _model(config, torch.bfloat16 if half else torch.float32, precision)
    base.model.requires_grad_(False)
    if plan.lora_rank is not None:
        from train.models.lora import adapted

        # Adapters are moved to where the base is, which is one place here; heads need numbers.
        with (
            mock.patch.object(torch.nn.Module, "to", lambda module, *_, **__: module),
            mock.patch("train.models.language_model._check_head"),
        ):
            policy = adapted(base, Config(lora_rank=plan.lora_rank))
    else:
        policy = _model(config, torch.float32, precision)
    if plan.checkpointing:
        recompute_layers(policy)
    if plan.reference == "model":
        return Policies(OBJECTIVE.needs, policy, base)
    states = torch.empty(_trained_tokens(plan), base.head.weight.shape[1], dtype=base.states_dtype)
    head = base.head._replace(weight=base.head.weight.detach().clone())
    return Policies(OBJECTIVE.needs, policy, states=cast(ReferenceStates, Cached(states, head)))


class Cached(NamedTuple):
    """As ReferenceStates, on the device instead of a disk."""

    states: torch.Tensor
    head: Head

    def hidden(self, index: torch.Tensor, device: torch.device) -> torch.Tensor:
        return self.states.clone()


def _trained_tokens(plan: MemoryPlan) -> int:
    return plan.tokens // plan.length * (plan.length - plan.length // 4)


def _model(config: PreTrainedConfig, dtype: torch.dtype, precision: Precision) -> LanguageModel:
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    return LanguageModel(model, backbone_of(model), precision)


def _micro_batch(plan: MemoryPlan, fake: FakeTensorMode) -> MicroBatch:
    prompt = plan.length // 4
    rows = plan.tokens // plan.length
    with _disable_current_modes():
        inputs = collate([Tokens([5] * prompt, [6] * (plan.length - prompt))] * rows)
        reward = torch.tensor([1.0, -1.0]).repeat(rows)[:rows]
    there = {n: fake.from_tensor(x) for n, x in inputs._asdict().items() if x is not None}
    inputs = inputs._replace(**there)
    batch = Batch(mask=inputs.mask, reward=fake.from_tensor(reward))
    return MicroBatch(inputs, batch, torch.arange(rows))


def _lasting(policies: Policies, optimizer: torch.optim.Optimizer):
    for model in filter(None, (policies.policy, policies.reference)):
        yield from model.model.parameters()
    if policies.states is not None:
        yield policies.states.head.weight
    for state in optimizer.state.values():
        yield from (state[name] for name in ("exp_avg", "exp_avg_sq"))


def main() -> None:
    name, *rank = sys.argv[1:]
    recipe = recipe_of(["--recipe", name])
    plan = MemoryPlan(
        tokens=recipe["tokens_per_microbatch"],
        length=recipe["max_tokens"],
        half=recipe["dtype"] == "bfloat16",
        checkpointing=recipe["gradient_checkpointing"],
        lora_rank=int(rank[0]) if rank else None,
    )
    config = AutoConfig.from_pretrained(READY / f"{name}.json")
    gc.disable()
    print(peak(parts(shape_of(config), plan)), simulated_peak(config, plan), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
