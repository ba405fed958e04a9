"""Training objectives for offline reinforcement learning, as pure functions.

`f(policy, batch, *, hyper-parameters) -> one loss per unit`, policy being (B, T) log-probs of the
sampled tokens and a unit a pair or a trajectory. `OBJECTIVES` has them all by name.
"""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from objectives.advantage_regression import a_star_po, fpa_a_star_po, fpa_oapl, oapl
    from objectives.asymmetric import asymre, nsr, psr, redi, w_reinforce
    from objectives.batch import Batch
    from objectives.contract import per_pair, per_trajectory
    from objectives.divergence_ahead import future_divergence
    from objectives.dpo_variants import (
        apo_down,
        bco,
        dpo_norm,
        exo,
        fpa_apo_down,
        fpa_bco,
        fpa_dpo_norm,
        fpa_exo,
        fpa_hinge,
        fpa_nca,
        fpa_robust_dpo,
        fpa_sppo_hard,
        hinge,
        nca,
        robust_dpo,
        sppo_hard,
    )
    from objectives.entry import Objective
    from objectives.future import future_policy
    from objectives.future_teacher import fpa_rise, fpa_rise_grpo, rise, rise_grpo
    from objectives.groups import (
        ADVANTAGES,
        group_centred,
        group_mean,
        group_normalised,
        leave_one_out,
        pair_rollouts,
        plus_minus_one,
        solve_rate,
    )
    from objectives.guard import guarded
    from objectives.head import Head
    from objectives.implicit_negative import fpa_nft, nft
    from objectives.kernel import TokenLogProbs, token_log_probs
    from objectives.likelihood import (
        awr,
        dft,
        fpa,
        fpa_dft,
        fpa_topr,
        offline_rl,
        reinforce,
        sft,
        topr,
    )
    from objectives.mirror_descent import (
        TwoSequence,
        fpa_omd,
        mirror_step,
        omd,
        optimistic_step,
        two_sequence_play,
        two_sequence_update,
    )
    from objectives.mirror_methods import (
        exploitability,
        extragradient_step,
        magnetic_step,
        nash_md_step,
        self_play,
        zero_sum,
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
    from objectives.soft_ratio import cispo, fpa_cispo, fpa_sapo, fpa_vespo, sapo, vespo
    from objectives.unpaired import fpa_kto, kto, mismatch, reference_point
    from objectives.weighted_preference import fpa_wpo_dpo, wpo_dpo

__all__ = [
    "ADVANTAGES", "OBJECTIVES", "Batch", "Head", "Objective", "TokenLogProbs", "TwoSequence",
    "a_star_po", "apo_down", "apo_zero", "asymre", "awr", "bco", "cispo", "dft", "dpo",
    "dpo_norm", "dpop", "exo", "exploitability", "extragradient_step", "fpa", "fpa_a_star_po",
    "fpa_apo_down", "fpa_apo_zero", "fpa_bco", "fpa_cispo", "fpa_dft", "fpa_dpo",
    "fpa_dpo_norm", "fpa_dpop", "fpa_exo", "fpa_gate_dpo", "fpa_grpo", "fpa_hinge", "fpa_ipo",
    "fpa_kto", "fpa_nca", "fpa_nft", "fpa_oapl", "fpa_omd", "fpa_orpo", "fpa_rise",
    "fpa_rise_grpo", "fpa_robust_dpo", "fpa_rpo", "fpa_sapo", "fpa_simper", "fpa_simpo",
    "fpa_sppo_hard", "fpa_topr", "fpa_vespo", "fpa_wpo_dpo", "future_divergence",
    "future_policy", "gate_dpo", "group_centred", "group_mean", "group_normalised", "grpo",
    "guarded", "hinge", "ipo", "kto", "leave_one_out", "magnetic_step", "mirror_step",
    "mismatch", "nash_md_step", "nca", "nft", "nsr", "oapl", "offline_rl", "omd",
    "optimistic_step", "orpo", "pair_rollouts", "per_pair", "per_trajectory", "plus_minus_one",
    "psr", "redi", "reference_point", "reinforce", "rise", "rise_grpo", "robust_dpo", "rpo",
    "sapo", "self_play", "sft", "simper", "simpo", "solve_rate", "sppo_hard", "token_log_probs",
    "topr", "two_sequence_play", "two_sequence_update", "vespo", "w_reinforce", "wpo_dpo",
    "zero_sum",
]  # fmt: skip

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ADVANTAGES": "objectives.groups",
        "OBJECTIVES": "objectives.registry",
        "Batch": "objectives.batch",
        "Head": "objectives.head",
        "Objective": "objectives.entry",
        "TokenLogProbs": "objectives.kernel",
        "TwoSequence": "objectives.mirror_descent",
        "a_star_po": "objectives.advantage_regression",
        "apo_down": "objectives.dpo_variants",
        "apo_zero": "objectives.preference",
        "asymre": "objectives.asymmetric",
        "awr": "objectives.likelihood",
        "bco": "objectives.dpo_variants",
        "cispo": "objectives.soft_ratio",
        "dft": "objectives.likelihood",
        "dpo": "objectives.preference",
        "dpo_norm": "objectives.dpo_variants",
        "dpop": "objectives.preference",
        "exo": "objectives.dpo_variants",
        "exploitability": "objectives.mirror_methods",
        "extragradient_step": "objectives.mirror_methods",
        "fpa": "objectives.likelihood",
        "fpa_a_star_po": "objectives.advantage_regression",
        "fpa_apo_down": "objectives.dpo_variants",
        "fpa_apo_zero": "objectives.preference",
        "fpa_bco": "objectives.dpo_variants",
        "fpa_cispo": "objectives.soft_ratio",
        "fpa_dft": "objectives.likelihood",
        "fpa_dpo": "objectives.preference",
        "fpa_dpo_norm": "objectives.dpo_variants",
        "fpa_dpop": "objectives.preference",
        "fpa_exo": "objectives.dpo_variants",
        "fpa_gate_dpo": "objectives.preference",
        "fpa_grpo": "objectives.policy_gradient",
        "fpa_hinge": "objectives.dpo_variants",
        "fpa_ipo": "objectives.preference",
        "fpa_kto": "objectives.unpaired",
        "fpa_nca": "objectives.dpo_variants",
        "fpa_nft": "objectives.implicit_negative",
        "fpa_oapl": "objectives.advantage_regression",
        "fpa_omd": "objectives.mirror_descent",
        "fpa_orpo": "objectives.preference",
        "fpa_rise": "objectives.future_teacher",
        "fpa_rise_grpo": "objectives.future_teacher",
        "fpa_robust_dpo": "objectives.dpo_variants",
        "fpa_rpo": "objectives.preference",
        "fpa_sapo": "objectives.soft_ratio",
        "fpa_simper": "objectives.preference",
        "fpa_simpo": "objectives.preference",
        "fpa_sppo_hard": "objectives.dpo_variants",
        "fpa_topr": "objectives.likelihood",
        "fpa_vespo": "objectives.soft_ratio",
        "fpa_wpo_dpo": "objectives.weighted_preference",
        "future_divergence": "objectives.divergence_ahead",
        "future_policy": "objectives.future",
        "gate_dpo": "objectives.preference",
        "group_centred": "objectives.groups",
        "group_mean": "objectives.groups",
        "group_normalised": "objectives.groups",
        "grpo": "objectives.policy_gradient",
        "guarded": "objectives.guard",
        "hinge": "objectives.dpo_variants",
        "ipo": "objectives.preference",
        "kto": "objectives.unpaired",
        "leave_one_out": "objectives.groups",
        "magnetic_step": "objectives.mirror_methods",
        "mirror_step": "objectives.mirror_descent",
        "mismatch": "objectives.unpaired",
        "nash_md_step": "objectives.mirror_methods",
        "nca": "objectives.dpo_variants",
        "nft": "objectives.implicit_negative",
        "nsr": "objectives.asymmetric",
        "oapl": "objectives.advantage_regression",
        "offline_rl": "objectives.likelihood",
        "omd": "objectives.mirror_descent",
        "optimistic_step": "objectives.mirror_descent",
        "orpo": "objectives.preference",
        "pair_rollouts": "objectives.groups",
        "per_pair": "objectives.contract",
        "per_trajectory": "objectives.contract",
        "plus_minus_one": "objectives.groups",
        "psr": "objectives.asymmetric",
        "redi": "objectives.asymmetric",
        "reference_point": "objectives.unpaired",
        "reinforce": "objectives.likelihood",
        "rise": "objectives.future_teacher",
        "rise_grpo": "objectives.future_teacher",
        "robust_dpo": "objectives.dpo_variants",
        "rpo": "objectives.preference",
        "sapo": "objectives.soft_ratio",
        "self_play": "objectives.mirror_methods",
        "sft": "objectives.likelihood",
        "simper": "objectives.preference",
        "simpo": "objectives.preference",
        "solve_rate": "objectives.groups",
        "sppo_hard": "objectives.dpo_variants",
        "token_log_probs": "objectives.kernel",
        "topr": "objectives.likelihood",
        "two_sequence_play": "objectives.mirror_descent",
        "two_sequence_update": "objectives.mirror_descent",
        "vespo": "objectives.soft_ratio",
        "w_reinforce": "objectives.asymmetric",
        "wpo_dpo": "objectives.weighted_preference",
        "zero_sum": "objectives.mirror_methods",
    },
)
