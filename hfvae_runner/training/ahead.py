"""Batches that are gathered on the CPU and copied to the training device while it works on the ones before.

For a training set that the device cannot hold. A thread gathers the batch of a step and starts its copy; what a batch
holds depends on its step alone, so that the results do not depend on how far the thread is ahead.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor

DEPTH = 2
"""Batches that are prepared in advance."""


class Transfer(Protocol):
    """Protocol of an object that copies tensors from the CPU to a device without waiting for the copies."""

    def send(self, tensors: Sequence[Tensor]) -> Any:
        """Start to copy the tensors; called in a thread. Returns what ``receive`` takes."""

    def receive(self, sent: Any) -> tuple[Tensor, ...]:
        """Return the copies; work that the device is given from now on waits for them."""


class CudaTransfer:
    """Copies from pinned memory on a stream of its own, beside the training's.

    Args:
        device: a CUDA device with its index.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def send(self, tensors: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], torch.cuda.Event]:
        with torch.cuda.stream(self._stream):
            # torch keeps the pinned memory until the copy has ended, and uses it again.
            copies = tuple(tensor.pin_memory().to(self._device, non_blocking=True) for tensor in tensors)
            return copies, self._stream.record_event()

    def receive(self, sent: tuple[tuple[Tensor, ...], torch.cuda.Event]) -> tuple[Tensor, ...]:
        copies, done = sent
        main = torch.cuda.current_stream(self._device)
        main.wait_event(done)
        for copy in copies:
            # Their memory belongs to the other stream, which must not use it again before this one is done with it.
            copy.record_stream(main)
        return copies


class Ahead:
    """The batches of successive steps, of which the next ones are gathered and copied in a thread.

    Any step may be asked for; one that is not among the next ones starts anew from there.

    Args:
        gather: step -> the batch's tensors on the CPU, a function of the step alone; it is called in one thread only.
        transfer: copies them.
    """

    def __init__(self, gather: Callable[[int], Sequence[Tensor]], transfer: Transfer) -> None:
        self._gather, self._transfer = gather, transfer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._coming: dict[int, Future[Any]] = {}

    def at(self, step: int) -> tuple[Tensor, ...]:
        """Return the tensors of a step on the device.

        Raises:
            Exception: what ``gather`` raised for this step.
        """
        wanted = range(step, step + DEPTH + 1)
        for other in [each for each in self._coming if each not in wanted]:
            self._coming.pop(other).cancel()
        for each in wanted:
            if each not in self._coming:
                self._coming[each] = self._thread.submit(self._sent, each)
        return self._transfer.receive(self._coming.pop(step).result())

    def _sent(self, step: int) -> Any:
        return self._transfer.send(self._gather(step))
