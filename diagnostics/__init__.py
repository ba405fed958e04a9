"""Why an objective helps or harms: gradients of pairs, forecasts of the policy, their curves."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from diagnostics.entanglement.texts import Entanglement, entangle
    from diagnostics.log_probs import log_prob_metrics, log_prob_totals
    from diagnostics.parameters import select_parameters
    from diagnostics.trajectories import Trajectories, completion_log_probs, pack

__all__ = [
    "Entanglement",
    "Trajectories",
    "completion_log_probs",
    "entangle",
    "log_prob_metrics",
    "log_prob_totals",
    "pack",
    "select_parameters",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Entanglement": "diagnostics.entanglement.texts",
        "Trajectories": "diagnostics.trajectories",
        "completion_log_probs": "diagnostics.trajectories",
        "entangle": "diagnostics.entanglement.texts",
        "log_prob_metrics": "diagnostics.log_probs",
        "log_prob_totals": "diagnostics.log_probs",
        "pack": "diagnostics.trajectories",
        "select_parameters": "diagnostics.parameters",
    },
)
