"""Memory in bytes: the need of a step, the free memory of the device, and the error of a run that exceeds it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from hfvae_runner.errors import ConfigError

# Tensors of each parameter's size: itself, its gradient, and Adam's two moments; AMSGrad adds a third.
_COPIES, _AMSGRAD = 4, 1
# In the backward pass, temporary gradients take about as much memory as the tensors that the forward pass has saved.
_FORWARD_AND_BACKWARD = 2
# Of the free memory, how much a training set may take; the rest is for the model, the steps and the evaluation.
_SHARE_OF_DATA = 0.5
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "memory.stat", "inactive_file")
# torch has an exception class for GPUs only; on the CPU it raises a RuntimeError that contains one of these texts.
_SIGNS = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")


@contextmanager
def explained_exhaustion() -> Iterator[None]:
    """Convert out-of-memory errors in the block to a ConfigError of one line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(sign in text for sign in _SIGNS):
            raise
        raise ConfigError(
            f"not enough memory ({text[:150] or type(error).__name__}); "
            "expected a smaller batch_size, metrics.batch_size, image_size, latents or model"
        ) from error


def step_bytes(
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[..., tuple[Tensor, Any]],
    inputs: Sequence[Any],
    *,
    amsgrad: bool,
) -> int:
    """Return the bytes that one more run needs in a stack.

    These are parameters, gradients and moments, and twice the tensors that one loss saves for its backward pass. The
    loss is evaluated once, which may change the state of its modules (such as running averages).

    Args:
        parameters: all parameters of the loss.
        loss_of: the loss.
        inputs: its arguments.
        amsgrad: whether Adam keeps a third moment.
    """
    own = {parameter.untyped_storage().data_ptr(): parameter.nbytes for parameter in parameters}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        held = loss_of(*inputs)  # keeps the tensors alive, so that no two of them share an address
    activations = sum(size for pointer, size in kept.items() if pointer not in own)
    del held
    return (_COPIES + _AMSGRAD * amsgrad) * sum(own.values()) + _FORWARD_AND_BACKWARD * activations


def refuse_too_large(parameters: Sequence[nn.Parameter], device: torch.device, *, amsgrad: bool) -> None:
    """Raise ConfigError if there is no room for the gradients and Adam's moments of these parameters.

    Some systems promise more memory than they have, and end the process without a message when it is used.
    """
    size = sum(parameter.nbytes for parameter in parameters)
    needed, free = (_COPIES - 1 + _AMSGRAD * amsgrad) * size, free_bytes(device)
    if needed > free:
        raise ConfigError(
            f"the parameters take {size / 1e9:.1f} GB, their gradients and Adam's moments {needed / 1e9:.1f} GB more, "
            f"and {device} has {free / 1e9:.1f} GB left; expected a smaller model or objective"
        )


def holds(device: torch.device, size: int) -> bool:
    """Return whether a training set of ``size`` bytes on the CPU is to be copied to the device as a whole."""
    return device.type == "cpu" or size <= _SHARE_OF_DATA * free_bytes(device)


def free_bytes(device: torch.device, root: Path = Path("/")) -> int:
    """Return the free bytes of the device: unallocated memory of a GPU, else what the system and the container allow.

    Args:
        device: a CUDA device with its index, or the CPU.
        root: the folder that contains proc and sys.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    meminfo = root / "proc/meminfo"
    if not meminfo.exists():
        # Not Linux: half of the physical memory, since no figure for free memory is portable.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    of_the_system = _numbers(meminfo)["MemAvailable:"] * 1024
    return min([of_the_system, *_of_control_groups(root)])


def _of_control_groups(root: Path) -> Iterator[int]:
    """Yield the bytes left to each control group of this process (version 2, or version 1's memory controller)."""
    own = root / "proc/self/cgroup"
    for line in own.read_text().splitlines() if own.exists() else ():
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if kinds else "")
        names = _VERSION_1 if kinds else _VERSION_2
        group = mount / path.lstrip("/")
        # A container may see its own group at the top of the mount, while /proc gives another path.
        for folder in (mount, *(each for each in (group, *group.parents) if mount in each.parents)):
            limit, usage, stat = (folder / name for name in names[:3])
            if limit.exists() and usage.exists() and (most := limit.read_text().strip()) != "max":
                # The system can reclaim the inactive part of the file cache.
                given_back = _numbers(stat).get(names[3], 0) if stat.exists() else 0
                yield int(most) - int(usage.read_text()) + given_back


def _numbers(path: Path) -> dict[str, int]:
    """Return the number (second word) of each line by its first word."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1}
