"""A step under torch's profiler, its time divided among what it is spent for."""

from collections import Counter

from torch.profiler import profile

PRODUCTS = {"aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm"}
# What an event is for, told by how its own name begins or that of what it is within.
KINDS = {
    "_TokenLogProbs": "kernel, without its products",
    "aten::scaled_dot_product_attention": "attention",
    "ScaledDotProduct": "attention",
    "AccumulateGrad": "gradients added up",
    "torch::autograd::AccumulateGrad": "gradients added up",
    "EmbeddingBackward": "embedding, backward",
    "aten::to": "casts",
    "ToCopyBackward": "casts",
    "collating": "collating",
    "clipping": "clipping",
    "optimizer": "optimizer",
    "aten::softmax": "drawing tokens",
    "aten::cumsum": "drawing tokens",
    "aten::searchsorted": "drawing tokens",
}
STAGES = {"collating", "clipping", "optimizer", "gradients", "generation"}
LAYERS, HOST = "norms, activations and the rest of the layers", "host"


def where_time_goes(measured: profile) -> dict[str, float]:
    """Return shares of the time within the STAGES that a profile has, the largest first.

    Stages are `record_function`s. Time in none of torch's operations is the host's.
    """
    spent: Counter[str] = Counter()
    for event in measured.events():
        above = [event]
        while above[-1].cpu_parent is not None:
            above.append(above[-1].cpu_parent)
        if above[-1].name in STAGES:
            spent[_kind([each.name for each in above])] += event.self_cpu_time_total
    whole = sum(spent.values())
    return {kind: time / whole for kind, time in spent.most_common()}


def _kind(names: list[str]) -> str:
    """Return what an event is for; names: its own, then of what it is within, outwards."""
    if PRODUCTS & set(names[:2]):  # a product, and what it calls
        return "matrix products"
    for name in names:
        for start, kind in KINDS.items():
            if name.startswith(start):
                return kind
    return HOST if names[0] in STAGES else LAYERS
