"""Measures the time of the command until its first optimiser step, in a separate process.

As a program (``start.py [KEY=VALUE ...]``) it starts one run, ends it after that step, and prints a ``Start`` as JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class Start(NamedTuple):
    """Seconds of one start.

    Attributes:
        imports: for importing torch and the package.
        data: from the imports until the data set is loaded; includes reading the command line and composing the config.
        step: from the loaded data until the first optimiser step is done.
    """

    imports: float
    data: float
    step: float


class _FirstStepIsDone(BaseException):
    pass


def lines(commands: Mapping[str, Sequence[str]], rounds: int) -> list[str]:
    """Return a line for each command: medians over the rounds, and the range of the time from the data to the step.

    Raises:
        subprocess.CalledProcessError: a command failed; its message has been printed.
    """
    text = [f"{'start':<34}{'imports s':>11}{'data s':>9}{'to the first step s':>21}   [least, most]"]
    for title, overrides in commands.items():
        starts = [_in_own_process(overrides) for _ in range(rounds)]
        imports, data, step = (median(column) for column in zip(*starts, strict=True))
        least, most = (which(each.step for each in starts) for which in (min, max))
        text.append(f"{title:<34}{imports:>11.2f}{data:>9.2f}{step:>21.2f}   [{least:.2f}, {most:.2f}]")
    return text


def _in_own_process(overrides: Sequence[str]) -> Start:
    command = [sys.executable, str(Path(__file__).resolve()), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr, end="")
        done.check_returncode()
    return Start(*json.loads(done.stdout))


def start(overrides: Sequence[str]) -> Start:
    """Start the command with these overrides, and end it after the first step.

    Raises:
        SystemExit: the command ended before its first step.
    """
    times = [time.perf_counter()]
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from hfvae_runner.launch import main
    from hfvae_runner.runs import assembly

    times.append(time.perf_counter())
    load = assembly.dataset_of

    def dataset_of(config: Any) -> Any:
        dataset = load(config)
        # A run is checked before it starts, so the data set is requested twice.
        if len(times) == 2:
            times.append(time.perf_counter())
        return dataset

    def end(*_: object) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        raise _FirstStepIsDone

    assembly.dataset_of = dataset_of
    handle = register_optimizer_step_post_hook(end)
    try:
        with tempfile.TemporaryDirectory(prefix="bench_start_") as folder:
            raise SystemExit(main([*overrides, f"hydra.run.dir={folder}/run"]))
    except _FirstStepIsDone:
        begun, imported, loaded, done = times
        return Start(imported - begun, loaded - imported, done - loaded)
    finally:
        assembly.dataset_of = load
        handle.remove()


if __name__ == "__main__":
    print(json.dumps(start(sys.argv[1:])))
