"""Training objectives for offline reinforcement learning, as pure functions.

`f(policy, batch, *, hyper-parameters) -> one loss per unit`, policy being (B, T) log-probs of the
sampled tokens and a unit a pair or a trajectory. `OBJECTIVES` has them all by name.
"""

from objectives.batch import Batch
from objectives.contract import per_pair, per_trajectory
from objectives.entry import Objective
from objectives.future import future_policy
from objectives.groups import (
    ADVANTAGES,
    group_centred,
    group_mean,
    group_normalised,
    leave_one_out,
    pair_rollouts,
    plus_minus_one,
)
from objectives.head import Head
from objectives.kernel import TokenLogProbs, token_log_probs
from objectives.likelihood import awr, fpa, fpa_topr, offline_rl, reinforce, sft, topr
from objectives.mirror_descent import (
    TwoSequence,
    fpa_omd,
    mirror_step,
    omd,
    optimistic_step,
    two_sequence_play,
    two_sequence_update,
)
from objectives.policy_gradient import fpa_grpo, grpo
from objectives.preference import (
    apo_zero,
    dpo,
    dpop,
    fpa_apo_zero,
    fpa_dpo,
    fpa_dpop,
    fpa_gate_dpo,
    fpa_ipo,
    fpa_orpo,
    fpa_rpo,
    fpa_simper,
    fpa_simpo,
    gate_dpo,
    ipo,
    orpo,
    rpo,
    simper,
    simpo,
)
from objectives.registry import OBJECTIVES
from objectives.unpaired import fpa_kto, kto, mismatch, reference_point

__all__ = [
    "ADVANTAGES",
    "OBJECTIVES",
    "Batch",
    "Head",
    "Objective",
    "TokenLogProbs",
    "TwoSequence",
    "apo_zero",
    "awr",
    "dpo",
    "dpop",
    "fpa",
    "fpa_apo_zero",
    "fpa_dpo",
    "fpa_dpop",
    "fpa_gate_dpo",
    "fpa_grpo",
    "fpa_ipo",
    "fpa_kto",
    "fpa_omd",
    "fpa_orpo",
    "fpa_rpo",
    "fpa_simper",
    "fpa_simpo",
    "fpa_topr",
    "future_policy",
    "gate_dpo",
    "group_centred",
    "group_mean",
    "group_normalised",
    "grpo",
    "ipo",
    "kto",
    "leave_one_out",
    "mirror_step",
    "mismatch",
    "offline_rl",
    "omd",
    "optimistic_step",
    "orpo",
    "pair_rollouts",
    "per_pair",
    "per_trajectory",
    "plus_minus_one",
    "reference_point",
    "reinforce",
    "rpo",
    "sft",
    "simper",
    "simpo",
    "token_log_probs",
    "topr",
    "two_sequence_play",
    "two_sequence_update",
]
