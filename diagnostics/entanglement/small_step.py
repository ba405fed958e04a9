"""What a small step on a pair does to its log-probs in truth, beside the first-order prediction."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from diagnostics.entanglement.gradients import by_backward
from diagnostics.trajectories import Trajectories, completion_log_probs


def measured_changes(
    model: nn.Module,
    trajectories: Trajectories,
    parameters: Mapping[str, Tensor],
    chosen: Tensor,
    rejected: Tensor,
    learning_rate: float,
) -> tuple[Tensor, Tensor]:
    """Return the changes (Δs_w, Δs_l), (N,) each, after each pair's own step from θ.

    The step is `learning_rate (c_w g_w - c_l g_l)` on the selected parameters, whose first-order
    prediction is `first_order_changes`. The model stays as it is.

    trajectories: 2N rows, chosen and rejected in turn; chosen, rejected: (N,) c_w and c_l.
    Raises ValueError where their numbers differ.
    """
    if not len(trajectories.mask) == 2 * len(chosen) == 2 * len(rejected):
        raise ValueError(
            f"{len(trajectories.mask)} rows need as many coefficients as pairs, "
            f"got {len(chosen)} and {len(rejected)}"
        )
    changes = []
    for number, (c_w, c_l) in enumerate(zip(chosen, rejected, strict=True)):
        pair = trajectories.rows(slice(2 * number, 2 * number + 2))
        weights = pair.mask[:, None].to(chosen.dtype)
        gradients = by_backward(model, pair, weights, parameters)
        stepped = {
            name: parameters[name].detach() + learning_rate * (c_w * g[0, 0] - c_l * g[1, 0])
            for name, g in gradients
        }
        changes.append(_log_prob_change(model, pair, stepped))
    if not changes:
        return chosen.new_zeros(0), chosen.new_zeros(0)
    chosen_change, rejected_change = torch.stack(changes).unbind(-1)
    return chosen_change, rejected_change


@torch.no_grad()
def _log_prob_change(model: nn.Module, pair: Trajectories, stepped: Mapping) -> Tensor:
    after = completion_log_probs(model, pair, stepped)
    return (after - completion_log_probs(model, pair)).sum(-1)  # token by token: less rounding
