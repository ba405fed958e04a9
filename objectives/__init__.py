"""Training objectives for offline reinforcement learning, as pure functions.

`f(policy, batch, *, hyper-parameters) -> one loss per unit`, policy being (B, T) log-probs of the
sampled tokens and a unit a pair or a trajectory. `OBJECTIVES` has them all by name.
"""

from objectives.batch import Batch
from objectives.contract import per_pair, per_trajectory
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
from objectives.kernel import Head, TokenLogProbs, token_log_probs
from objectives.likelihood import awr, offline_rl, reinforce, sft, topr
from objectives.mirror_descent import (
    TwoSequence,
    mirror_step,
    omd,
    optimistic_step,
    two_sequence_play,
    two_sequence_update,
)
from objectives.policy_gradient import grpo
from objectives.preference import apo_zero, dpo, dpop, gate_dpo, ipo, orpo, rpo, simper, simpo
from objectives.registry import OBJECTIVES, Objective
from objectives.unpaired import kto, mismatch, reference_point

# fpa, fpa_dpo, fpa_rpo, ...: importable under their registered names.
globals().update({name: o.loss for name, o in OBJECTIVES.items() if name.startswith("fpa")})

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
