"""What a run measured at its probe pairs while it trained, over steps."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from diagnostics.curves.measures import entanglement_values, token_log_prob_values
    from diagnostics.curves.plots import plot_diagnoses, plot_diagnostics
    from diagnostics.curves.window import plot_window

__all__ = [
    "entanglement_values",
    "plot_diagnoses",
    "plot_diagnostics",
    "plot_window",
    "token_log_prob_values",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "entanglement_values": "diagnostics.curves.measures",
        "plot_diagnoses": "diagnostics.curves.plots",
        "plot_diagnostics": "diagnostics.curves.plots",
        "plot_window": "diagnostics.curves.window",
        "token_log_prob_values": "diagnostics.curves.measures",
    },
)
