"""Records a step as a CUDA graph and replays it, without Python or a launch per kernel.

All that differs from one step to the next has to be an input, which is copied to where the recorded step reads it: the
batch, the noise and the knobs are, while numbers, such as the learning rates, stay what they were when it was recorded.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.training.step import Step

WARM_UP = 3
"""So many steps run before one is recorded: libraries make their workspaces, kernels are compiled and chosen."""

Outcome = tuple[Tensor, dict[str, Tensor]]


class Recorder(Protocol):
    """Protocol: runs warm-up steps and records one."""

    def aside(self) -> AbstractContextManager[None]:
        """Where the steps before the recorded one run."""

    def record(self, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        """Record a call; return a function that replays it, and the tensors that hold its results."""


class CudaRecorder:
    """Records on a stream of its own, as CUDA requires.

    Args:
        device: a CUDA device with its index.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    @contextmanager
    def aside(self) -> Iterator[None]:
        main = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            yield
        main.wait_stream(self._stream)

    def record(self, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        graph = torch.cuda.CUDAGraph()
        # Around it, so that the stream is left even where the end of the capture is refused.
        with torch.cuda.stream(self._stream), torch.cuda.graph(graph, stream=self._stream):
            results = work()
        return graph.replay, results


def check(device: torch.device) -> None:
    """Raises ConfigError where the device cannot record a step."""
    if device.type != "cuda":
        raise ConfigError(f"runtime.graph=true: device {device} records no steps, a CUDA device does; expected false")


def graphed(step: Step, device: torch.device) -> Step:
    """The step, recorded after ``WARM_UP`` ordinary ones.

    Its results are the recorded step's own memory: they hold until the next step. A new one has to be made where a
    learning rate, a parameter's memory or the optimiser's state is another than before.

    Args:
        step: its optimiser is ``capturable``. Inputs are tensors, or None, or sequences of such; each call has those of
            the same shapes.
        device: a CUDA device with its index, on which the step's parameters lie; the inputs may lie elsewhere.

    Raises:
        ConfigError: while it is recorded, the step does what cannot be, such as wait for a number from the GPU.
        ValueError: an input has another shape than at the first step.
    """
    return _Graphed(step, CudaRecorder(device), device)


class _Graphed:
    def __init__(self, step: Step, recorder: Recorder, device: torch.device) -> None:
        self._step, self._recorder, self._device = step, recorder, device
        self._taken = 0
        self._inputs: Any = None
        self._recorded: tuple[Callable[[], None], Outcome] | None = None

    def __call__(self, *inputs: Any) -> Outcome:
        if self._inputs is None:
            self._inputs = _memory_for(inputs, self._device)
        _fill(self._inputs, inputs)
        if self._taken < WARM_UP:
            self._taken += 1
            with self._recorder.aside():
                return self._step(*self._inputs)
        if self._recorded is None:
            self._recorded = self._record()
        replay, results = self._recorded
        replay()
        return results

    def _record(self) -> tuple[Callable[[], None], Outcome]:
        errors: list[RuntimeError] = []

        def work() -> Outcome:
            try:
                return self._step(*self._inputs)
            except RuntimeError as error:
                errors.append(error)
                raise

        try:
            return self._recorder.record(work)
        except RuntimeError as error:
            # The end of a capture that went wrong raises an error of its own.
            first = next(iter(errors), error)
            if isinstance(first, torch.OutOfMemoryError):
                raise first from None
            reason = " ".join(str(first).split())[:150]
            raise ConfigError(f"runtime.graph=true: the step cannot be captured ({reason}); expected false") from first


def _memory_for(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return torch.empty_like(value, device=device)
    return None if value is None else [_memory_for(each, device) for each in value]


def _fill(memory: Any, value: Any) -> None:
    own, given = list(_tensors(memory)), list(_tensors(value))
    expected, shapes = ([list(each.shape) for each in every] for every in (own, given))
    if shapes != expected:
        raise ValueError(f"a recorded step takes tensors of {expected}; given {shapes}")
    for each, source in zip(own, given, strict=True):
        # Without waiting for the GPU: nothing writes to what was given.
        each.copy_(source, non_blocking=True)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif value is not None:
        for each in value:
            yield from _tensors(each)
