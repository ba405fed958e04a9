"""The zoo: every objective by name. Adding one takes its function and one entry here."""

import math

from objectives import likelihood, mirror_descent, policy_gradient, preference, unpaired
from objectives.entry import Objective
from objectives.registering import Registry

LOG_2 = math.log(2)

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
]


OBJECTIVES = Registry(_BASE)
