"""What a run measured at its probe pairs while it trained, over steps."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from diagnostics.curves.measures import entanglement_values, token_log_prob_values
    from diagnostics.curves.plots import plot_diagnoses, plot_diagnostics

__all__ = [
    "entanglement_values",
    "plot_diagnoses",
    "plot_diagnostics",
    "token_log_prob_values",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "entanglement_values": "diagnostics.curves.measures",
        "plot_diagnoses": "diagnostics.curves.plots",
        "plot_diagnostics": "diagnostics.curves.plots",
        "token_log_prob_values": "diagnostics.curves.measures",
    },
)
