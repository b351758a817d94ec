"""CUDA's recording of a step, imitated on the CPU: the operations of one step, done again on the same memory.

As there, nothing of Python runs in a replay, so that whatever is no input stays what it was, and what would wait for a
number cannot be recorded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from hfvae_runner.training.graph import Outcome

# What gives Python a number, or a tensor whose size depends on numbers.
WAITING = {
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}


def waits(operation: Any, arguments: Sequence[Any]) -> bool:
    """Whether the host has to wait for a GPU that does this."""
    name = operation.overloadpacket.__name__
    masks = name in ("index", "index_put", "index_put_") and any(
        isinstance(each, Tensor) and each.dtype in (torch.bool, torch.uint8) for each in arguments[1]
    )
    return name in WAITING or masks


class Tape(TorchDispatchMode):
    """A ``graph.Recorder`` for the CPU.

    Attributes:
        aside_taken: how many steps were taken aside.
        replays: how often what was recorded has been done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.aside_taken = self.replays = 0
        self._calls: list[tuple[Any, Any, Any, list[Any]]] = []

    @contextmanager
    def aside(self) -> Iterator[None]:
        self.aside_taken += 1
        yield

    def record(self, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        with self:
            results = work()
        # Here it was done, to know its operations: the first replay is that, and until then nothing is known of it.
        held = [each for each in tree_leaves(results) if isinstance(each, Tensor)]
        first = [each.clone() for each in held]
        for each in held:
            each.fill_(torch.nan)

        def replay() -> None:
            if self.replays == 0:
                for each, value in zip(held, first, strict=True):
                    each.copy_(value)
            else:
                self._do_again()
            self.replays += 1

        return replay, results

    def _do_again(self) -> None:
        for operation, arguments, options, memory in self._calls:
            again = tree_leaves(operation(*arguments, **options))
            for own, value in zip(memory, again, strict=True):
                if isinstance(own, Tensor) and own.data_ptr() != value.data_ptr():
                    own.copy_(value)

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        if waits(operation, arguments):
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing\n{operation}")
        result = operation(*arguments, **(options or {}))
        if operation.namespace != "profiler":
            # Their memory is meant, whatever autograd comes to know about them.
            bare = tree_map_only(Tensor, Tensor.detach, (arguments, options or {}, tree_leaves(result)))
            self._calls.append((operation, *bare))
        return result


class OnGpuAlone(TorchDispatchMode):
    """Refuses what a GPU would be waited for, or cannot be recorded, of operations on imagined CUDA tensors.

    Numbers that Python knows may take part, as tensors without a dimension; they are not to be copied there.
    """

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = operation(*arguments, **(options or {}))
        given = [each for each in tree_leaves((arguments, options)) if isinstance(each, Tensor)]
        made = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        copied = operation.overloadpacket.__name__ in ("_to_copy", "copy_")
        devices = {each.device.type for each in [*given, *made] if copied or each.ndim}
        if waits(operation, arguments) or devices not in (set(), {"cuda"}):
            raise RuntimeError(f"{operation} of {[each.device for each in given]} makes {made}")
        return result
