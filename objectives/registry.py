"""The zoo: every objective by name. Adding one takes its function and one entry here."""

import math

from objectives import (
    advantage_regression,
    asymmetric,
    dpo_variants,
    future_teacher,
    implicit_negative,
    likelihood,
    mirror_descent,
    policy_gradient,
    preference,
    soft_ratio,
    unpaired,
    weighted_preference,
)
from objectives.batch import log_prob_mean
from objectives.entry import Objective, settings_of
from objectives.registering import Registry

LOG_2 = math.log(2)


def _optimal_advantage_squared(reward, solve_rate, beta):
    value = advantage_regression.optimal_value(solve_rate, beta)
    return ((reward > 0) * 1.0 - value).square()


def _rise_at_reference(mean, batch, hyper):
    if hyper["granularity"] != "trajectory":
        return None
    weights = hyper["positive_weight"], hyper["negative_weight"]
    return -likelihood.weighted_reward(batch, *weights) * mean.exp()


_BASE = [
    Objective(likelihood.sft, "", only_correct=True),
    Objective(likelihood.reinforce, "2503.14286"),
    Objective(likelihood.offline_rl, "2509.19893", future=likelihood.fpa),
    Objective(preference.dpo, "2305.18290", lambda m, b, h: LOG_2, future=preference.fpa_dpo),
    Objective(
        preference.ipo,
        "2310.12036",
        lambda m, b, h: 1 / (2 * h["tau"]) ** 2,
        future=preference.fpa_ipo,
    ),
    Objective(
        preference.rpo,
        "2404.19733",
        lambda m, b, h: LOG_2 - h["alpha"] * m[b.pairs[:, 0]],
        future=preference.fpa_rpo,
    ),
    Objective(
        unpaired.kto,
        "2402.01306",
        lambda m, b, h: (
            (b.reward > 0) * h["desirable_weight"] / 2
            + (b.reward <= 0) * h["undesirable_weight"] / 2
        ),
        future=unpaired.fpa_kto,
    ),
    Objective(preference.simper, "2502.00883", future=preference.fpa_simper),
    Objective(preference.simpo, "2405.14734", future=preference.fpa_simpo),
    Objective(preference.orpo, "2403.07691", future=preference.fpa_orpo),
    Objective(preference.dpop, "2402.13228", lambda m, b, h: LOG_2, future=preference.fpa_dpop),
    Objective(
        preference.apo_zero, "2408.06266", lambda m, b, h: 1.0, future=preference.fpa_apo_zero
    ),
    Objective(
        likelihood.topr, "2503.14286", lambda m, b, h: -b.reward * m, future=likelihood.fpa_topr
    ),
    Objective(
        preference.gate_dpo, "2605.02626", lambda m, b, h: LOG_2, future=preference.fpa_gate_dpo
    ),
    Objective(likelihood.awr, "1910.00177", advantage="group_centred"),
    Objective(
        mirror_descent.omd,
        "1311.1869",
        lambda m, b, h: -b.reward * m.exp() * m,
        settings={"period": 10},
        future=mirror_descent.fpa_omd,
    ),
    Objective(
        policy_gradient.grpo,
        "2402.03300",
        lambda m, b, h: -b.reward if h["aggregate"] == "sequence" else None,
        advantage="group_normalised",
        settings={"period": 0},
        future=policy_gradient.fpa_grpo,
    ),
    Objective(likelihood.dft, "2508.05629", only_correct=True, future=likelihood.fpa_dft),
    Objective(asymmetric.redi, "2505.24850"),
    Objective(asymmetric.asymre, "2506.20520", advantage="group_centred"),
    Objective(asymmetric.w_reinforce, "2506.01347"),
    Objective(asymmetric.nsr, "2506.01347"),
    Objective(asymmetric.psr, "2506.01347"),
    Objective(
        implicit_negative.nft,
        "2505.18116",
        lambda m, b, h: 0.0,
        settings={"period": 0},
        future=implicit_negative.fpa_nft,
    ),
    Objective(
        advantage_regression.a_star_po,
        "2505.20686",
        lambda m, b, h: _optimal_advantage_squared(b.reward, b.solve_rate, h["value_beta"]),
        future=advantage_regression.fpa_a_star_po,
    ),
    Objective(
        advantage_regression.oapl,
        "2602.19362",
        lambda m, b, h: _optimal_advantage_squared(b.reward, b.solve_rate, h["beta"]),
        future=advantage_regression.fpa_oapl,
    ),
    Objective(
        soft_ratio.vespo,
        "2602.10693",
        lambda m, b, h: -b.reward * m,
        advantage="group_normalised",
        settings={"period": 0},
        future=soft_ratio.fpa_vespo,
    ),
    Objective(
        soft_ratio.cispo,
        "2506.13585",
        lambda m, b, h: -b.reward * m,
        advantage="group_normalised",
        settings={"period": 0},
        future=soft_ratio.fpa_cispo,
    ),
    Objective(
        soft_ratio.sapo,
        "2511.20347",
        lambda m, b, h: (
            -2 * b.reward.clamp(min=0) / h["temperature_positive"]
            - 2 * b.reward.clamp(max=0) / h["temperature_negative"]
        ),
        advantage="group_normalised",
        settings={"period": 0},
        future=soft_ratio.fpa_sapo,
    ),
    Objective(
        dpo_variants.robust_dpo,
        "2403.00409",
        lambda m, b, h: LOG_2,
        future=dpo_variants.fpa_robust_dpo,
    ),
    Objective(
        dpo_variants.dpo_norm, "2411.15124", lambda m, b, h: LOG_2, future=dpo_variants.fpa_dpo_norm
    ),
    Objective(dpo_variants.hinge, "2309.06657", lambda m, b, h: 1.0, future=dpo_variants.fpa_hinge),
    Objective(
        dpo_variants.exo,
        "2402.00856",
        lambda m, b, h: -LOG_2 - math.log(h["label_smoothing"] * (1 - h["label_smoothing"])) / 2,
        future=dpo_variants.fpa_exo,
    ),
    Objective(
        dpo_variants.nca, "2402.05369", lambda m, b, h: 2 * LOG_2, future=dpo_variants.fpa_nca
    ),
    Objective(
        dpo_variants.bco, "2404.04656", lambda m, b, h: 2 * LOG_2, future=dpo_variants.fpa_bco
    ),
    Objective(
        dpo_variants.sppo_hard,
        "2405.00675",
        lambda m, b, h: 1 / (2 * h["beta"] ** 2),
        future=dpo_variants.fpa_sppo_hard,
    ),
    Objective(
        dpo_variants.apo_down, "2408.06266", lambda m, b, h: 1.0, future=dpo_variants.fpa_apo_down
    ),
    Objective(
        weighted_preference.wpo_dpo,
        "2406.11827",
        lambda m, b, h: LOG_2 * (m - log_prob_mean(b.collision, b.mask))[b.pairs].sum(1).exp(),
        future=weighted_preference.fpa_wpo_dpo,
    ),
    Objective(
        future_teacher.rise,
        "2609.05295",
        _rise_at_reference,
        settings=settings_of(future_teacher.rise),
        future=future_teacher.fpa_rise,
    ),
    Objective(
        future_teacher.rise_grpo,
        "2609.05295",
        lambda m, b, h: -b.reward if h["aggregate"] == "sequence" else None,
        advantage="group_normalised",
        settings={**settings_of(future_teacher.rise_grpo), "period": 0},
        future=future_teacher.fpa_rise_grpo,
    ),
]


OBJECTIVES = Registry(_BASE)
