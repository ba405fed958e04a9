"""Record what TRL's own losses give on frozen log-probs: writes trl.json beside this file.

    pip install "trl==1.16.*" && python tests/objectives/oracles/record_trl.py

TRL's trainers compute losses from a model's outputs, so each is handed a model that returns the
frozen log-probs; everything from there to the loss is TRL's code. A trainer's bookkeeping
(accelerator, metrics) is absorbed by a mock.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
import trl
from trl.experimental.a2po.a2po_trainer import A2POTrainer
from trl.experimental.cpo.cpo_trainer import CPOTrainer
from trl.experimental.orpo.orpo_trainer import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_trainer import SFTTrainer

PAIRS, LENGTH = 4, 6


def inputs():
    """Return policy and reference log-probs (2 PAIRS, LENGTH), chosen rows first, and the mask."""
    generator = torch.Generator().manual_seed(0)
    policy, reference = (
        -2 * torch.rand(2, 2 * PAIRS, LENGTH, generator=generator, dtype=torch.float32).double()
    )
    lengths = torch.randint(2, LENGTH + 1, (2 * PAIRS,), generator=generator)
    return policy, reference, torch.arange(LENGTH) < lengths[:, None]


def collision():
    """Return log Σ_v π_v² of every position, (2 PAIRS, LENGTH)."""
    generator = torch.Generator().manual_seed(1)
    return -torch.rand(2 * PAIRS, LENGTH, generator=generator, dtype=torch.float32).double()


def model_of(log_probs, mask):
    """Return a model whose forward gives these log-probs, 0 outside the completions."""
    zeros = torch.zeros_like(log_probs)
    output = SimpleNamespace(
        log_probs=log_probs * mask, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool(),
        label_mask=mask, log_sum_sq_probs=collision(),
    )  # fmt: skip
    return lambda **_: output


def trainer(**settings):
    """Return what stands for the trainer: the loss's settings, and a mock for the rest."""
    mock = MagicMock()
    mock.model.training = False  # evaluation: the losses without accumulation's factors
    mock.accelerator.device = torch.device("cpu")
    mock.accelerator.gather_for_metrics = mock.accelerator.gather = lambda x: x
    defaults = {
        "aux_loss_enabled": False,
        "ld_alpha": None,
        "precompute_ref_logps": False,
        "f_divergence_type": "reverse_kl",
        "use_weighting": False,
        "label_smoothing": 0.0,
    }
    for name, value in {**defaults, **settings}.items():
        setattr(mock, name, value)
    return mock


def with_gradient(loss_of, log_probs):
    """Return the loss and its gradient with respect to the log-probs, as lists."""
    log_probs = log_probs.clone().requires_grad_()
    loss = loss_of(log_probs)
    (gradient,) = torch.autograd.grad(loss, log_probs)
    return {"loss": loss.item(), "gradient": gradient.tolist()}


def dpo(types, beta, weights=None, **settings):
    policy, reference, mask = inputs()
    batch = {
        "input_ids": torch.zeros(2 * PAIRS, LENGTH + 1, dtype=torch.long),
        "attention_mask": torch.ones(2 * PAIRS, LENGTH + 1),
        "completion_mask": torch.nn.functional.pad(mask.long(), (1, 0)),
    }

    def loss(log_probs):
        self = trainer(beta=beta, loss_types=types, loss_weights=weights or [1.0] * len(types),
                       **settings)  # fmt: skip
        self.ref_model = model_of(reference, mask)
        return DPOTrainer._compute_loss(self, model_of(log_probs, mask), batch, False)

    return with_gradient(loss, policy)


def kto(mismatched):
    """mismatched: the log-ratio of every mismatched row, whose mean is z0 before clamping."""
    policy, reference, mask = inputs()
    batch = {
        "input_ids": torch.zeros(2 * PAIRS, LENGTH + 1, dtype=torch.long),
        "attention_mask": torch.ones(2 * PAIRS, LENGTH + 1),
        "completion_mask": torch.nn.functional.pad(mask.long(), (1, 0)),
        "label": torch.tensor([True] * PAIRS + [False] * PAIRS),
    }

    def loss(log_probs):
        self = trainer(beta=0.1, loss_type="kto", calculate_KL=True, desirable_weight=1.0,
                       undesirable_weight=1.3)  # fmt: skip
        model, ratio = model_of(log_probs, mask), torch.full((2 * PAIRS,), mismatched)
        self.ref_model = model_of(reference, mask)
        self._compute_kl_logps = lambda m, _: ratio if m is model else torch.zeros_like(ratio)
        return KTOTrainer._compute_loss(self, model, batch, False)

    return with_gradient(loss, policy)


def sums(log_probs, mask):
    return (log_probs * mask).sum(1).chunk(2)


def means(log_probs, mask):
    return ((log_probs * mask).sum(1) / mask.sum(1)).chunk(2)


def cpo(statistic, **settings):
    policy, _, mask = inputs()
    self = trainer(alpha=0.0, **settings)
    return with_gradient(lambda x: CPOTrainer.cpo_loss(self, *statistic(x, mask))[0].mean(), policy)


def conservative_dpo(beta, smoothing):
    """CPO's sigmoid loss with label smoothing, on log-ratios to the reference."""
    policy, reference, mask = inputs()
    self = trainer(alpha=0.0, loss_type="sigmoid", beta=beta, label_smoothing=smoothing)
    return with_gradient(
        lambda x: CPOTrainer.cpo_loss(self, *sums(x - reference, mask))[0].mean(), policy
    )


def orpo(beta):
    policy, _, mask = inputs()
    self = trainer(beta=beta)

    def loss(log_probs):
        chosen, rejected = means(log_probs, mask)
        return (-chosen - ORPOTrainer.odds_ratio_loss(self, chosen, rejected)[0]).mean()

    return with_gradient(loss, policy)


def a_star_po():
    """Rewards and V* of four prompts of two rows each, whose shares of correct are 1/4 and 1/2."""
    policy, reference, mask = inputs()
    rewards = torch.tensor([1.0, 0.0] * PAIRS).double()
    rates = torch.tensor([0.25, 0.25, 0.5, 0.5] * 2).double()
    values = 0.5 * (rates * math.exp(2) + 1 - rates).log()

    def loss(log_probs):
        self = trainer()
        self.args.beta2 = 0.001
        self._get_sequence_logps = lambda *_: (log_probs * mask).sum(1)
        batch = {
            "input_ids": None, "attention_mask": None, "logits_to_keep": None, "rewards": rewards,
            "v_star": values, "ref_logps": (reference * mask).sum(1),
        }  # fmt: skip
        return A2POTrainer.compute_loss(self, MagicMock(), batch)

    found = with_gradient(loss, policy)
    return {**found, "advantages": (2 * rewards - 1).tolist(), "solve_rate": rates.tolist()}


def dft():
    """Each row is a batch of its own: TRL's mean is over all tokens of a batch."""
    policy, _, mask = inputs()

    def loss(log_probs):
        self = trainer(compute_loss_func=None, label_smoother=None)
        self.accelerator.parallelism_config = None
        self.args.loss_type, self.args.average_tokens_across_devices = "dft", False
        rows = [model_of(log_probs[i : i + 1], mask[i : i + 1]) for i in range(PAIRS)]
        return sum(SFTTrainer.compute_loss(self, row, {"labels": None}) for row in rows) / PAIRS

    return with_gradient(loss, policy)


def grpo(kind, apart=False, **settings):
    """apart: each row as a batch of its own, for kinds whose mean is over all tokens of a batch."""
    policy, anchor, mask = inputs()
    advantages = torch.tensor([1.0, -0.5, 2.0, -1.0, 0.3, -0.7, 1.2, -2.0]).double()
    batch = {
        "prompt_ids": torch.zeros(2 * PAIRS, 1, dtype=torch.long),
        "prompt_mask": torch.ones(2 * PAIRS, 1, dtype=torch.long),
        "completion_ids": torch.zeros(2 * PAIRS, LENGTH, dtype=torch.long),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": anchor,
        "num_items_in_batch": mask.sum(),
    }

    def loss(log_probs):
        self = trainer(
            loss_type=kind, beta=0.0, epsilon_low=0.2, epsilon_high=0.28, max_completion_length=10,
            importance_sampling_level="token", top_entropy_quantile=1.0, use_vllm=False,
            off_policy_mask_threshold=None, current_gradient_accumulation_steps=1,
            use_liger_kernel=False, _entropy_bonus_enabled=False,
        )  # fmt: skip
        self.args.delta = None
        self.args.sapo_temperature_pos, self.args.sapo_temperature_neg = 1.0, 1.05
        self.args.vespo_k_pos, self.args.vespo_lambda_pos = 2.0, 3.0
        self.args.vespo_k_neg, self.args.vespo_lambda_neg = 3.0, 2.0
        self.get_gamma_weights = torch.no_grad()(GRPOTrainer.get_gamma_weights)
        self.accelerator.num_processes = 1
        for name, value in settings.items():
            setattr(self, name, value)

        def of(rows):
            part = {name: x[rows] for name, x in batch.items() if name != "num_items_in_batch"}
            part["num_items_in_batch"] = mask[rows].sum()
            seen = log_probs[rows]
            self._get_per_token_logps_and_entropies = lambda *_, **__: (
                seen, torch.zeros_like(seen), None)  # fmt: skip
            return GRPOTrainer._compute_loss(self, MagicMock(), part)

        if not apart:
            return of(slice(None))
        return sum(of(slice(i, i + 1)) for i in range(2 * PAIRS)) / (2 * PAIRS)

    return {**with_gradient(loss, policy), "advantages": advantages.tolist()}


def recorded():
    """Return what trl.json holds, computed in float64 throughout."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return _recorded()
    finally:
        torch.set_default_dtype(before)


def _recorded():
    policy, reference, mask = inputs()
    return {
        "trl": trl.__version__,
        "policy": policy.tolist(),
        "reference": reference.tolist(),
        "mask": mask.tolist(),
        "dpo": dpo(["sigmoid"], 0.1),
        "ipo": dpo(["ipo"], 0.1),
        "apo_zero": dpo(["apo_zero"], 0.1),
        "sft": dpo(["sft"], 0.1),
        "conservative_dpo": conservative_dpo(0.3, 0.2),
        "simpo": cpo(means, loss_type="simpo", beta=2.0, simpo_gamma=1.0),
        "orpo": orpo(0.1),
        "kto": kto(0.8),
        "kto_clamped": kto(-0.8),
        "grpo": grpo("grpo"),
        "grpo_constant": grpo("dr_grpo"),
        "grpo_token": grpo("dapo"),
        "collision": collision().tolist(),
        "robust_dpo": dpo(["robust"], 0.1, label_smoothing=0.1),
        "dpo_norm": dpo(["sigmoid_norm"], 5.0),
        "hinge": dpo(["hinge"], 0.1),
        "exo": dpo(["exo_pair"], 0.1, label_smoothing=1e-3),
        "nca": dpo(["nca_pair"], 0.1),
        "bco": dpo(["bco_pair"], 0.1),
        "sppo_hard": dpo(["sppo_hard"], 0.1),
        "apo_down": dpo(["apo_down"], 0.1),
        "wpo_dpo": dpo(["sigmoid"], 0.1, use_weighting=True),
        "a_star_po": a_star_po(),
        "dft": dft(),
        "vespo": grpo("vespo", apart=True),
        "cispo": grpo("cispo", apart=True, epsilon_high=1.5),
        "sapo": grpo("sapo"),
    }


def main():
    Path(__file__).with_name("trl.json").write_text(json.dumps(recorded()) + "\n")


if __name__ == "__main__":
    main()
