"""When activations can be kept in the host's memory."""

from objectives.errors import InputError


def require_checkpointing(offload: bool, checkpointing: bool) -> None:
    """Raise InputError where all activations would move, and not the layers' inputs alone."""
    if offload and not checkpointing:
        raise InputError(
            "--activation-offload is for --gradient-checkpointing, which is not given: without it "
            "there would be far more to move than the layers' inputs"
        )


def require_device(device: str) -> None:
    """Raise InputError for a device that computes in the host's memory."""
    if device == "cpu":
        raise InputError(
            "--activation-offload: on a CPU activations are in the host's memory already, so "
            "nothing is gained"
        )
