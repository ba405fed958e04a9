"""How the gradients of correct and incorrect completions are entangled."""

from typing import TYPE_CHECKING

from objectives.lazy import lazy

if TYPE_CHECKING:
    from diagnostics.entanglement.coefficients import coefficients_now_and_ahead, pair_coefficients
    from diagnostics.entanglement.gram import pair_grams, split_weights
    from diagnostics.entanglement.measure import (
        MeasuredPairs,
        ProbeLogProbs,
        SampledPairs,
        measure_pairs,
    )
    from diagnostics.entanglement.overlap import token_overlap
    from diagnostics.entanglement.pair_products import (
        REGIMES,
        first_order_changes,
        products,
        regime,
        split,
    )
    from diagnostics.entanglement.parts import part_weights
    from diagnostics.entanglement.small_step import measured_changes

__all__ = [
    "REGIMES",
    "MeasuredPairs",
    "ProbeLogProbs",
    "SampledPairs",
    "coefficients_now_and_ahead",
    "first_order_changes",
    "measure_pairs",
    "measured_changes",
    "pair_coefficients",
    "pair_grams",
    "part_weights",
    "products",
    "regime",
    "split",
    "split_weights",
    "token_overlap",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "MeasuredPairs": "diagnostics.entanglement.measure",
        "ProbeLogProbs": "diagnostics.entanglement.measure",
        "REGIMES": "diagnostics.entanglement.pair_products",
        "SampledPairs": "diagnostics.entanglement.measure",
        "coefficients_now_and_ahead": "diagnostics.entanglement.coefficients",
        "first_order_changes": "diagnostics.entanglement.pair_products",
        "measure_pairs": "diagnostics.entanglement.measure",
        "measured_changes": "diagnostics.entanglement.small_step",
        "pair_coefficients": "diagnostics.entanglement.coefficients",
        "pair_grams": "diagnostics.entanglement.gram",
        "part_weights": "diagnostics.entanglement.parts",
        "products": "diagnostics.entanglement.pair_products",
        "regime": "diagnostics.entanglement.pair_products",
        "split": "diagnostics.entanglement.pair_products",
        "split_weights": "diagnostics.entanglement.gram",
        "token_overlap": "diagnostics.entanglement.overlap",
    },
)
