"""TRL's DPOTrainer with an objective of the zoo in the place of its loss.

Everything but the loss is TRL's own: data, collating, reference, adapters, optimizer, checkpoints
and metrics. It needs `pip install 'objective-zoo[trl]'`, whose forward passes it reads.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from objectives import (
    ADVANTAGES,
    OBJECTIVES,
    Batch,
    Head,
    future_divergence,
    mismatch,
    reference_point,
)
from objectives.causal_lm import backbone_of, output_head
from objectives.divergence_ahead import Divergence
from objectives.entry import SETTINGS_DOMAINS
from objectives.errors import InputError
from objectives.kernel import token_log_probs

try:
    from trl import DPOTrainer  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as error:
    if error.name != "trl":
        raise
    raise ModuleNotFoundError(
        "train.integrations.trl needs TRL: pip install 'objective-zoo[trl]'", name="trl"
    ) from None

PROVIDED = {
    "reference", "future", "collision", "future_collision", "reward", "group", "pairs",
    "divergence", "mean_length", "future_divergence",
}  # fmt: skip
OF_REFERENCE = {"reference", "future", "future_divergence"}  # made with its hidden states
OWN_LOSS = {  # settings of TRL's loss, which would do nothing here, at their defaults
    "loss_type": ["sigmoid"], "loss_weights": None, "label_smoothing": 0.0, "ld_alpha": None,
    "f_divergence_type": "reverse_kl", "use_weighting": False,
}  # fmt: skip
BETA = 0.1  # of DPOConfig, where nothing else was said
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}  # of accelerate's mixed precision
TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 0.1}  # mean, of a token


class Pass(NamedTuple):
    """A forward pass of TRL's, seen from within."""

    output: Any
    states: Tensor  # (B, L, d)
    head: Head


class ZooTrainer(DPOTrainer):  # pyright: ignore[reportGeneralTypeIssues]
    """Trains on preference pairs with any objective of OBJECTIVES; a pair is +1 and -1 reward.

    The objective reads log-probs in float32 from this project's kernel, under autocast too.
    `rewards/*` and all other metrics are TRL's; `loss` is the objective's mean over the pairs or,
    of an objective of trajectories, over their rows.
    """

    def __init__(
        self,
        *arguments: Any,
        objective: str = "fpa",
        lam: float | None = None,
        divergence_kind: Divergence | None = None,
        **settings: Any,
    ):
        """Prepare a run as DPOTrainer does.

        objective: a name of OBJECTIVES whose fields of the batch a pair can fill.
        lam: λ of the future policy (arXiv 2509.19893), by default the objective's own, from TRL's
        reference; for objectives that look ahead alone.
        divergence_kind: kl, by default, or js, for objectives that read a divergence from the
        future policy alone.
        settings: hyper-parameters of the objective by name, such as `alpha=0.5`, and keywords of
        DPOTrainer. `args.beta` is the objective's where it was set and `beta` is not given.
        Raises ValueError for an objective, hyper-parameter or setting of `args` that cannot be or
        would do nothing.
        """
        try:
            self.objective = OBJECTIVES.find(objective)
        except InputError as error:
            raise ValueError(f"no objective {objective!r}: {error}") from None
        missing = [name for name in self.objective.needs if name not in PROVIDED]
        if missing:
            raise ValueError(f"{objective} needs {', '.join(missing)}, which pairs do not have")
        parameters = self.objective.hyper_parameters
        given = {name: settings.pop(name) for name in parameters if name in settings}
        unknown = settings.keys() - inspect.signature(DPOTrainer.__init__).parameters.keys()
        if unknown:
            names = ", ".join(parameters) or "none"
            raise ValueError(
                f"{', '.join(sorted(unknown))}: neither DPOTrainer nor {objective} has it, whose "
                f"hyper-parameters are {names}"
            )
        own = self.objective.settings
        if "lam" not in own and lam is not None:
            raise ValueError(f"{objective} does not look ahead: leave lam out")
        if lam is not None and lam not in SETTINGS_DOMAINS["lam"]:
            raise ValueError(f"lam must be {SETTINGS_DOMAINS['lam']}, got {lam!r}")
        self.lam = own.get("lam") if lam is None else lam
        if "divergence_kind" not in own and divergence_kind is not None:
            raise ValueError(f"{objective} reads no divergence: leave divergence_kind out")
        if divergence_kind not in (None, *get_args(Divergence)):
            raise ValueError(f"divergence_kind must be kl or js, got {divergence_kind!r}")
        self.divergence_kind: Divergence | None = divergence_kind or own.get("divergence_kind")
        super().__init__(*arguments, **settings)
        self._check_settings()
        if "beta" in parameters and "beta" not in given and self.args.beta != BETA:
            given["beta"] = self.args.beta
        self.hyper = {name: given.get(name, p.default) for name, p in parameters.items()}
        self.objective.check(self.hyper)
        self.beta = self.hyper.get("beta", self.args.beta)  # of TRL's rewards
        self._log_probs_checked = False

    def _check_settings(self) -> None:
        for name, neutral in OWN_LOSS.items():
            if getattr(self.args, name) != neutral:
                raise ValueError(f"{name} is of TRL's own loss and would do nothing: leave it out")
        if self.precompute_ref_logps and OF_REFERENCE & {*self.objective.needs}:
            raise ValueError(
                f"precompute_ref_log_probs keeps sums, and {self.objective.name} reads the "
                "reference token by token: leave it out"
            )
        stage = getattr(self.args.deepspeed_plugin, "zero_stage", 0)
        if self.is_fsdp_enabled or stage == 3:
            raise ValueError("weights in shards are not supported here: use python -m train")

    def _compute_loss(self, model, inputs, return_outputs):
        with self._seen(model) as passes:
            result = super()._compute_loss(model, inputs, return_outputs)
        policy, batch = self._batch(passes, inputs)
        if "divergence" in self.objective.needs:
            ratios = self._mismatched_ratios(model, inputs, batch.group)
            batch = batch._replace(divergence=reference_point(ratios).expand(len(policy)))
        losses = self.objective(policy, batch, **self.hyper)
        # Over the rows that count: sft has nothing to say of incorrect ones.
        loss = losses.sum() / (len(policy) // 2 if self.objective.only_correct else len(losses))
        if self.aux_loss_enabled:  # of a mixture of experts, which TRL adds to its loss too
            loss = loss + self.router_aux_loss_coef * passes[0].output.aux_loss
        return (loss, result[1]) if return_outputs else loss

    @contextmanager
    def _seen(self, model) -> Iterator[list[Pass]]:
        """Note TRL's forward passes: the policy's, then the reference's."""
        passes: list[Pass] = []
        causals = {id(c): c for c in map(self._causal, filter(None, (model, self.ref_model)))}
        hooks = []
        for causal in causals.values():
            states: list[Tensor] = []
            hooks += [
                backbone_of(causal).register_forward_hook(partial(_note_states, states)),
                causal.register_forward_hook(partial(_note_pass, passes, states)),
            ]
        try:
            yield passes
        finally:
            for hook in hooks:
                hook.remove()

    def _causal(self, model):
        own = self.accelerator.unwrap_model(model)
        return own.get_base_model() if hasattr(own, "get_base_model") else own

    def _batch(self, passes: list[Pass], inputs) -> tuple[Tensor, Batch]:
        mask = inputs["completion_mask"][:, 1:].bool()
        targets, length = inputs["input_ids"][:, 1:], mask.shape[1]

        def parts(seen: Pass) -> tuple[Tensor, Head]:
            # Prompt tuning puts virtual tokens before the real ones.
            return seen.states[:, -length - 1 : -1][mask], seen.head

        needs = self.objective.needs
        own, other = parts(passes[0]), parts(passes[1]) if OF_REFERENCE & {*needs} else None
        found = token_log_probs(
            *own, targets[mask], reference=other, lam=self.lam, collision="collision" in needs
        )
        apart = None
        if self.divergence_kind is not None:
            assert other is not None
            assert self.lam is not None
            apart = future_divergence(*own, other, self.lam, kind=self.divergence_kind)
        policy, reference, future, _, collision, future_collision, apart = (
            None if x is None else x.new_zeros(mask.shape).masked_scatter(mask, x)
            for x in (*found, apart)
        )
        assert policy is not None
        self._check_log_probs(policy, passes[0].output.log_probs[:, -length:], mask)
        half = len(mask) // 2
        rows = torch.arange(half, device=mask.device)
        reward = torch.ones(len(mask), device=mask.device)
        reward[half:] = -1
        group = _prompts(inputs).to(mask.device)
        mean_length = mask.sum().to(reward.dtype).expand(len(mask)) / len(mask)
        return policy, Batch(
            mask, reference, future, pairs=torch.stack([rows, rows + half], 1), group=group,
            collision=collision, future_collision=future_collision, future_divergence=apart,
            reward=ADVANTAGES[self.objective.advantage](reward, group), mean_length=mean_length,
        )  # fmt: skip

    def _check_log_probs(self, ours: Tensor, theirs: Tensor, mask: Tensor) -> None:
        """Raise ValueError, at the first batch, where TRL's log-probs are others."""
        if self._log_probs_checked or not mask.any():
            return
        self._log_probs_checked = True
        kind = AUTOCAST.get(self.accelerator.mixed_precision, ours.dtype)
        difference = (ours.detach() - theirs.detach())[mask].abs().mean()
        if not difference <= TOLERANCE.get(kind, TOLERANCE[torch.float32]):
            raise ValueError(
                f"TRL's log-probs of a token and those of the model's head differ by "
                f"{difference:.3g} in the mean: the head's config does not tell how it makes logits"
            )

    @torch.no_grad()
    def _mismatched_ratios(self, model, inputs, group: Tensor) -> Tensor:
        """Return log-ratios of prompts with completions of others, (B,), for KTO's z0."""
        try:
            partners = mismatch(group.cpu()).tolist()
        except ValueError as error:
            raise ValueError(f"per_device_train_batch_size: {error}") from None
        ids, real, learnt = (
            inputs[n].cpu() for n in ("input_ids", "attention_mask", "completion_mask")
        )
        prompts = [row[(r > 0) & (c == 0)] for row, r, c in zip(ids, real, learnt, strict=True)]
        answers = [row[c > 0] for row, c in zip(ids, learnt, strict=True)]
        own = [torch.cat([p, answers[j]]) for p, j in zip(prompts, partners, strict=True)]
        marks = [torch.arange(len(x)) >= len(p) for x, p in zip(own, prompts, strict=True)]
        rows = {
            "input_ids": pad_sequence(own, batch_first=True),
            "attention_mask": pad_sequence([torch.ones_like(x) for x in own], batch_first=True),
            "completion_mask": pad_sequence([m.long() for m in marks], batch_first=True),
        }
        rows = {name: x.to(group.device) for name, x in rows.items()}
        labels = rows["input_ids"].masked_fill(rows["completion_mask"] == 0, -100)
        own_inputs = {name: rows[name] for name in ("input_ids", "attention_mask")}
        policy = model(**own_inputs, labels=labels, fused_lm_head=True, use_cache=False)
        reference = self.compute_ref_log_probs(self.ref_model or self.model, rows)
        return policy.log_probs.sum(-1) - torch.cat(reference)


def _note_states(states: list[Tensor], module, given, output) -> None:
    states.append(output.last_hidden_state)


def _note_pass(passes: list[Pass], states: list[Tensor], module, given, output) -> None:
    passes.append(Pass(output, states.pop(), output_head(module)))


def _prompts(inputs) -> Tensor:
    """Return an id for each row's prompt, (B,): equal where the prompts are."""
    kept = (inputs["attention_mask"] > 0) & (inputs["completion_mask"] == 0)
    prompts = [tuple(row[k].tolist()) for row, k in zip(inputs["input_ids"], kept, strict=True)]
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    return torch.tensor([numbers[prompt] for prompt in prompts])
