"""What the tests of sweeps on clusters share: a sweep in a process of its own, and what its jobs have left so far."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SMALL = ("image_size=8", "threads=1", "metrics=[hoyer]", "metrics.figures=false", "train.progress=false", "resume=auto")
OF_THE_CLOCK = ("wall_seconds", "examples_per_second", "versions")
SECONDS = 240
"""After which a test gives up waiting."""


def until(done: Callable[[], object], otherwise: str) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, otherwise
        time.sleep(0.2)


def begun(folder: Path, environment: Mapping[str, str], jobs: Sequence[str], *more: str) -> subprocess.Popen[str]:
    """The command of a sweep, which runs."""
    command = [sys.executable, "-m", "hfvae_runner", "-m", *jobs, *SMALL, *more, f"hydra.sweep.dir={folder}"]
    return subprocess.Popen(command, env=environment, cwd=folder.parent, stderr=subprocess.PIPE, text=True)


def finished(command: subprocess.Popen[str]) -> str:
    """What the command has told once it has ended, with success."""
    told = command.communicate(timeout=SECONDS)[1]
    assert command.returncode == 0, told
    return told


def results(folder: Path) -> dict[str, object]:
    """Each job's results, without what depends on the clock, by its folder."""
    found = {}
    for path in sorted(folder.glob("*/metrics.json")):
        content = json.loads(path.read_bytes())
        content["run"] = {key: value for key, value in content["run"].items() if key not in OF_THE_CLOCK}
        found[path.parent.name] = content
    return found


def both_beyond(folder: Path, step: int) -> bool:
    """Whether two jobs have logged more than this step."""
    lines = [path.read_text().splitlines() for path in folder.glob("*/history.csv")]
    steps = [int(each[-1].split(",")[0]) for each in lines if len(each) > 1]
    return len(steps) == 2 and min(steps) > step
