"""Times how long commands take to start: ``python scripts/bench_start.py [--rounds 5]``.

Each line is a whole process. The named alternatives are Python itself and the imports of Hydra and of torch, which the
commands need sooner or later. The last column is the ratio to Python alone. The commands take turns, so that changes of
load meet all of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS: dict[str, Sequence[str]] = {
    "python": ("-c", "pass"),
    "import hydra": ("-c", "import hydra"),
    "import torch": ("-c", "import torch"),
    "import hfvae_runner": ("-c", "import hfvae_runner"),
    "hfvae_runner --help": ("-m", "hfvae_runner", "--help"),
    "hfvae_runner --version": ("-m", "hfvae_runner", "--version"),
    "a misspelt knob is refused": ("-m", "hfvae_runner", "bta=3"),
    "report --help": ("-m", "hfvae_runner.report", "--help"),
    "score --help": ("-m", "hfvae_runner.score", "--help"),
    "explore --help": ("-m", "hfvae_runner.explore", "--help"),
    "reproduce --list": ("-m", "hfvae_runner.reproduce", "--list"),
}


def seconds(command: Sequence[str]) -> float:
    """Return the wall-clock seconds of one process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True, check=False, env=environment, cwd=ROOT)
    return time.perf_counter() - start


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes of each command")
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, command in COMMANDS.items():
            measured = seconds(command)
            if turn:  # the first round reads the files from the disk
                taken[name].append(measured)
    alone = statistics.median(taken["python"])
    print(f"{'command':<28}{'median':>9}{'least':>9}{'most':>9}{'ratio':>8}")
    for name, values in taken.items():
        median = statistics.median(values)
        print(f"{name:<28}{median:>8.2f}s{min(values):>8.2f}s{max(values):>8.2f}s{median / alone:>8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
