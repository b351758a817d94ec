"""The peak memory of a few steps, measured in a separate process."""

import gc
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import torch
from data_cost import memory

from _bench import ways
from _bench.settings import config_of
from _bench.ways import Way

_FORGET_THE_PEAK = "5"  # proc(5), clear_refs


def peak_in_own_process(experiment: str, way: Way, overrides: Sequence[str]) -> int | None:
    """Return the result of ``peak`` in a new process; None if the process was killed, possibly for lack of memory."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as executor:
            return executor.submit(peak, experiment, way, tuple(overrides)).result()
    except BrokenProcessPool:
        return None


def peak(experiment: str, way: Way, overrides: Sequence[str], steps: int = 3) -> int | None:
    """Return the peak growth of the process in bytes over a few steps: data, parameters, optimiser and steps.

    On CUDA it is the growth of the memory allocated on the device. Return None if the system has no /proc.
    """
    # A small run first, so that imports and compilations are not counted for this setting.
    ways.turn_of("hfvae_mnist", way, ["dataset=digits", "batch_size=8", *_machine(overrides)])(1)
    gc.collect()
    before = memory().get("VmRSS")
    on_gpu = config_of(experiment, overrides).device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    take = ways.turn_of(experiment, way, overrides)
    if not on_gpu:
        # Reset the peak, since reading and drawing the data may have taken more. If the system refuses, it stays.
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text(_FORGET_THE_PEAK, encoding="ascii")
    take(steps)
    if on_gpu:
        return torch.cuda.max_memory_allocated() - held
    return None if before is None else memory()["VmHWM"] - before


def _machine(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of ``threads`` and ``device``."""
    return [each for each in overrides if each.startswith(("threads=", "device="))]
