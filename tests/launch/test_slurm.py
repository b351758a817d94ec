"""The launcher on a real Slurm of one node, which the test starts and stops; by name: ``pytest -m slow -k slurm``."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hfvae_runner

ROOT = Path(hfvae_runner.__file__).parents[1]
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
MISSING = [name for name in NEEDED if shutil.which(name, path=PATH) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: apt-get install slurm-wlm munge"),
]

SWEEP = (
    *("-m", "seed=0,1,2,3", "steps=20", "image_size=8", "threads=1", "metrics=[hoyer]", "metrics.figures=false"),
    "train.progress=false",
)
OF_THE_CLOCK = ("wall_seconds", "examples_per_second", "versions")


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands find the cluster."""
    script, folder = ROOT / "scripts" / "one_node_slurm.py", tmp_path / "slurm"
    subprocess.run([sys.executable, script, "start", folder], check=True)
    environment = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT), "SLURM_CONF": str(folder / "slurm.conf")}
    yield environment
    subprocess.run(["scancel", "--me"], env=environment, check=False)
    subprocess.run([sys.executable, script, "stop", folder], check=True)


def sweep(folder: Path, environment: dict[str, str], *more: str) -> dict[str, object]:
    """Run the sweep; return each job's results, without what depends on the clock, by its folder."""
    command = [sys.executable, "-m", "hfvae_runner", *SWEEP, *more, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, env=environment, cwd=folder.parent, check=True, capture_output=True)
    found = {}
    for path in sorted(folder.glob("*/metrics.json")):
        results = json.loads(path.read_bytes())
        results["run"] = {key: value for key, value in results["run"].items() if key not in OF_THE_CLOCK}
        found[path.parent.name] = results
    return found


def test_a_sweep_on_slurm_is_the_sweep_of_one_process(slurm: dict[str, str], tmp_path: Path) -> None:
    here = sweep(tmp_path / "here", slurm)
    there = sweep(tmp_path / "there", slurm, "hydra/launcher=submitit_slurm")
    assert len(here) == 4
    assert there == here
