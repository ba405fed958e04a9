"""Another implementation of a model's attention, by transformers' names."""

from transformers import PreTrainedModel

from objectives.errors import InputError


def set_attention(model: PreTrainedModel, name: str) -> None:
    """Let a model compute its attention as `name` does.

    Raises InputError for a name that transformers does not know, for what is not installed or does
    not fit the model, and for kernels of the hub, which are code that is not run here.
    """
    if "/" in name or ":" in name:
        raise InputError(f"--attention {name}: kernels of the hub are code, which is not run")
    if name == "flex_attention" and model.device.type == "cpu":
        raise InputError(
            f"--attention {name}: on a CPU it has no backward pass: take sdpa or eager"
        )
    try:
        model.set_attn_implementation(name)
    except (ValueError, ImportError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--attention {name}: {reason:.250}") from None
    found = model.config.get_text_config()._attn_implementation
    if found != name:
        kind = type(model).__name__
        raise InputError(f"--attention {name}: {kind} keeps its own ({found})")
