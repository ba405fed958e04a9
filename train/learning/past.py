"""Which policies of earlier steps an objective sees beside the policy and the reference."""

from typing import NamedTuple

from train.config.spec import ObjectiveSpec


class PastPlan(NamedTuple):
    anchored: bool  # anchors are kept beside the policy
    period: int  # updates after which the policy becomes the anchor; 0: never
    on_policy: bool  # the policy is at what sampled the data: its own anchor
    lag: int | None  # updates ago of the policy that the future one is extrapolated from


def past_plan(spec: ObjectiveSpec, online: bool, online_updates: int) -> PastPlan:
    """Return which earlier policies a run of an objective keeps.

    online: each step trains on what the policy sampled, online_updates steps on the same.
    """
    needs, lag = spec.objective.needs, spec.future and spec.future.lag
    period = int(spec.settings.get("period", 0))
    # Where each step samples anew and the anchor is what sampled, it is the policy itself.
    on_policy = online and period == 0 and online_updates == 1
    if online and period == 0:
        period = online_updates
    return PastPlan("anchor" in needs and not on_policy, period, on_policy, lag)
