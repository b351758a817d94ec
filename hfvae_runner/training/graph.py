"""Records a step as a CUDA graph and replays it, without Python and without a launch per kernel.

Everything that differs between steps must be an input: the batch, the noise and the knobs are copied to the memory that
the recorded step reads. Python numbers, such as the learning rates, keep the values that they had at the recording.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.training.step import Step

WARM_UP = 3
"""Steps before the recorded one, in which libraries allocate workspaces and kernels are compiled and chosen."""

Outcome = tuple[Tensor, dict[str, Tensor]]


class Recorder(Protocol):
    """Protocol of an object that runs warm-up steps and records one step."""

    def aside(self) -> AbstractContextManager[None]:
        """Return the context in which the steps before the recorded one run."""

    def record(self, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        """Record a call; return a function that replays it, and the tensors that hold its results."""


class CudaRecorder:
    """A recorder with a stream of its own, as CUDA requires.

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
        # The stream's context is the outer one, so that it is left even if the end of the capture raises an error.
        # thread_local: another thread may copy the next batches meanwhile (training.ahead).
        recording = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
        with torch.cuda.stream(self._stream), recording:
            results = work()
        return graph.replay, results


def check(device: torch.device) -> None:
    """Raise ConfigError if the device cannot record a step."""
    if device.type != "cuda":
        raise ConfigError(f"runtime.graph=true: device {device} records no steps, a CUDA device does; expected false")


def graphed(step: Step, device: torch.device) -> Step:
    """Return a step that is recorded after ``WARM_UP`` ordinary calls and replayed from then on.

    Its results lie in the recorded step's own memory and are valid until the next step. Record again after a change of
    a learning rate, of a parameter's memory or of the optimiser's state.

    Args:
        step: a step whose optimiser is ``capturable``. Its inputs are tensors, None, or sequences of these, of the same
            shapes in every call.
        device: a CUDA device with its index, which holds the step's parameters; the inputs may be on another device.

    Returns:
        A step that raises ConfigError if an operation cannot be recorded, such as waiting for a number from the GPU,
        and ValueError if an input's shape differs from the first step's.
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
            # The end of a failed capture raises another error; the first one is the cause.
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
        # Without waiting for the GPU: nothing writes to the source afterwards.
        each.copy_(source, non_blocking=True)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif value is not None:
        for each in value:
            yield from _tensors(each)
