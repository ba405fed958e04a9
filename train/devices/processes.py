"""The processes of one run, one for each device: who is who, what they agree on, what they add up.

`accelerate launch -m train ...` starts them. Where there is one process alone, all of this is free:
not even torch or accelerate, which take seconds to import, is imported here.
"""

import functools
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from objectives.errors import InputError
from objectives.signals import Undone, at_once

if TYPE_CHECKING:
    import torch
    from accelerate import FullyShardedDataParallelPlugin
    from torch import Tensor


def rank() -> int:
    """Return this process's number, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def count() -> int:
    """Return how many processes make the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Say whether this is the process that writes and prints."""
    return rank() == 0


@functools.cache
def sharding() -> "FullyShardedDataParallelPlugin | None":
    """Return how `accelerate launch --use_fsdp` asks for weights to be sharded; None: it does not.

    Raises InputError for what is not done here.
    """
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if not asked or count() == 1:
        return None
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise InputError("accelerate launch --use_fsdp: it takes --fsdp_version 2")
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise InputError("accelerate launch --fsdp_offload_params: weights stay on devices here")
    from accelerate import FullyShardedDataParallelPlugin

    return FullyShardedDataParallelPlugin()


def begin(device: str) -> None:
    """Meet the other processes, each on a GPU of its own; device: cpu, cuda or auto."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=device == "cpu" or not torch.cuda.is_available())


def together(main: Callable[[], None]) -> None:
    """Run a command's `main` in every process; the main process alone prints."""
    if is_main():
        main()
    else:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            main()
    if count() == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        wait()  # one that leaves early, as the main process draws still, may be taken for a failure
        dist.destroy_process_group()


def wait() -> None:
    """Return when every process has come here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def add_up(tensor: "Tensor") -> "Tensor":
    """Add a tensor in place over all processes, and return it."""
    if count() > 1:
        import torch.distributed as dist

        dist.all_reduce(tensor)
    return tensor


def any_of(value: bool) -> bool:
    """Say whether it holds in any process."""
    if count() == 1:
        return value
    import torch

    return bool(add_up(torch.tensor(float(value), device=_device())).item())


def highest(value: int) -> int:
    """Return the largest of all processes' values."""
    if count() == 1:
        return value
    import torch

    box = torch.tensor(value, device=_device())
    torch.distributed.all_reduce(box, op=torch.distributed.ReduceOp.MAX)
    return int(box)


def share(items: Sequence) -> list:
    """Return this process's part of a list."""
    return list(items[rank() :: count()])


def even_share(parts: Sequence) -> list[tuple[Any, bool]]:
    """Return this process's part of a list, and whether each counts; of one length in all.

    What is there only to make it so long does not count: where weights are sharded, all processes
    must call the model equally often.
    """
    rounds = -(-len(parts) // count())
    places = [rank() + number * count() for number in range(rounds)]
    return [(parts[place % len(parts)], place < len(parts)) for place in places]


def gathered(make: Callable[[], Sequence]) -> list:
    """Let each process make its `share` of a list; return the whole in its order, in each.

    A signal may end it in the middle: where it does in one process, all raise Undone. Where one
    raises InputError, as for a reward that fails, all do.
    """
    if count() == 1:
        with at_once():
            return list(make())
    from accelerate.utils import gather_object

    made, stopped, failed = [], None, None
    try:
        with at_once():
            made = list(make())
    except Undone as signal:
        stopped = signal.number
    except InputError as error:
        failed = f"{error}"
    parts: list[tuple[list, int | None, str | None]] = gather_object([(made, stopped, failed)])
    for _, number, _ in parts:
        if number is not None:
            raise Undone(number)
    for _, _, said in parts:
        if said is not None:
            raise InputError(said)
    lists = [own for own, _, _ in parts]
    return [lists[place % count()][place // count()] for place in range(sum(map(len, lists)))]


def agree(value: Any) -> Any:
    """Return the main process's value in every process."""
    if count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def on_main(work: Callable[[], Any]) -> Any:
    """Let the main process do it, and return what it returned, or raise what it raised, in all."""
    if count() == 1:
        return work()
    done, failed = None, None
    if is_main():
        try:
            done = work()
        except (InputError, OSError) as error:
            failed = error
    done, failed = agree((done, failed))
    if failed is not None:
        raise failed
    return done


def _device() -> "torch.device":
    from accelerate import PartialState

    return cast("torch.device", PartialState().device)  # declared optional, and always set
