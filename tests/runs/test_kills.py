"""A run that is killed at any moment, and as often as one likes, ends as if it had never been."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hfvae_runner


def killed(kills: int, folder: Path, timeout: float) -> dict[str, int]:
    root = Path(hfvae_runner.__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]),
        "OMP_NUM_THREADS": "1",
    }
    program = [sys.executable, str(root / "tests" / "killing.py"), str(kills), "0", str(folder)]
    process = subprocess.run(
        program, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert process.returncode == 0, process.stderr[-4000:]
    counts: dict[str, int] = json.loads(process.stdout.splitlines()[-1])
    print(counts)
    return counts


def holds(counts: dict[str, int], kills: int) -> None:
    assert counts["kills"] == counts["by_time"] + counts["by_file_operation"] == kills
    assert min(counts["by_time"], counts["by_file_operation"]) > kills // 4
    assert counts["runs"] == counts["identical"] > kills // 10


def test_four_kills(tmp_path: Path) -> None:
    holds(killed(4, tmp_path / "kills", timeout=400), 4)


@pytest.mark.slow
def test_five_hundred_kills(tmp_path: Path) -> None:
    holds(killed(500, tmp_path / "kills", timeout=4000), 500)
