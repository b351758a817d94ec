"""Kills runs at random moments, lets them go on, and compares what they leave with a run that was never touched.

    python tests/killing.py KILLS SEED FOLDER

A process of its own, since it forks: torch and the data set are loaded once, and each run is a child. Half of the
moments are times; the other half are file operations in the run folder (opening, renaming, linking, removing), of which
the child does not live to see the one that was drawn. Prints a line of JSON; fails where a run came out otherwise.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from comparing import same_to_the_bit

from hfvae_runner.launch import main

# OpenMP, which numba would take for its threads, ends a process that was forked from one that used it.
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"
SMALL = (
    *("device=cpu", "threads=1", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false"),
    *("metrics=[active_units]", "metrics.exact_limit=1e6", "train.log_every=2", "resume=auto"),
)
RUNS = {
    "plain": ("steps=23", "checkpoints.every=6", "metrics.every=10"),
    # Two divergences, each taken back.
    "restarted": (
        *("objective=vae", "lr=100", "on_divergence=restart", "train.restart_factor=1e-3"),
        *("steps=11", "checkpoints.every=3"),
    ),
}
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate"}


@dataclass(frozen=True)
class Reference:
    """A run that was never touched: its folder, how long a child takes for it, and how many file operations."""

    folder: Path
    seconds: float
    events: int


def main_of_a_child(name: str, folder: Path) -> int:
    return main([*SMALL, *RUNS[name], f"hydra.run.dir={folder}"])


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[None]:
    descriptors = [os.dup(each) for each in (1, 2)]
    with path.open("ab") as stream:
        for each in (1, 2):
            os.dup2(stream.fileno(), each)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for each, before in zip((1, 2), descriptors, strict=True):
                os.dup2(before, each)
                os.close(before)


def count_events(folder: Path, most: int | None) -> list[int]:
    """Counts this process's file operations in the folder from now on; at number ``most`` it is killed."""
    count = [0]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in FILE_EVENTS and str(folder) in str(arguments[0]):
            count[0] += 1
            if count[0] == most:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def child(name: str, folder: Path, log: Path, *, at_event: int | None = None, after: float | None = None) -> bool:
    """Whether the child came to its end before it was killed; it leaves the number of its operations beside the log."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            count = count_events(folder, at_event)
            with output_to(log):
                code = main_of_a_child(name, folder)
            log.with_suffix(".count").write_text(str(count[0]))
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, f"exit code {os.WEXITSTATUS(status)}: {log.read_text()[-2000:]}"
    return True


def reference(name: str, folder: Path) -> Reference:
    log = folder / f"{name}.log"
    start = time.monotonic()
    assert child(name, folder / f"whole_{name}", log)
    seconds = time.monotonic() - start
    return Reference(folder / f"whole_{name}", seconds, int(log.with_suffix(".count").read_text()))


def kill_runs(kills: int, seed: int, folder: Path) -> dict[str, int]:
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    with output_to(folder / "warm.log"):
        assert main_of_a_child("plain", folder / "warm") == 0
    references = {name: reference(name, folder) for name in RUNS}
    done = {"kills": 0, "by_time": 0, "by_file_operation": 0, "runs": 0, "identical": 0}
    while done["kills"] < kills or done["runs"] != done["identical"]:
        name = list(RUNS)[done["runs"] % len(RUNS)]
        run, log, whole = folder / f"run_{done['runs']}", folder / f"run_{done['runs']}.log", references[name]
        done["runs"] += 1
        finished = False
        while not finished:
            if done["kills"] >= kills:
                finished = child(name, run, log)
            elif done["by_time"] <= done["by_file_operation"]:
                finished = child(name, run, log, after=draw.uniform(0, whole.seconds))
                done["by_time"] += not finished
            else:
                finished = child(name, run, log, at_event=draw.randint(1, whole.events))
                done["by_file_operation"] += not finished
            done["kills"] += not finished
        same_to_the_bit(run, whole.folder)
        done["identical"] += 1
    return done


if __name__ == "__main__":
    print(json.dumps(kill_runs(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).resolve())))
