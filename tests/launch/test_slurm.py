"""The launcher on a real Slurm of one node, which the tests start and stop; by name: ``pytest -m slow -k slurm``.

Whatever ends a job or the command on the way, the results are those of one process.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clusters import SECONDS, begun, both_beyond, finished, results, until

import hfvae_runner

ROOT = Path(hfvae_runner.__file__).parents[1]
SCRIPT = ROOT / "scripts" / "one_node_slurm.py"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
MISSING = [name for name in NEEDED if shutil.which(name, path=PATH) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: apt-get install slurm-wlm munge"),
]

SHORT = ("seed=0,1,2,3", "steps=20")
LONG = ("seed=0,1", "steps=4000", "checkpoints.every=1000000")
"""Long enough to be ended on the way; without checkpoints but those that an end writes."""
SLURM = "hydra/launcher=submitit_slurm"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands find the cluster."""
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    subprocess.run([sys.executable, SCRIPT, "start", folder, "--cpus", "4"], check=True)
    environment = {
        **os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT), "SLURM_CONF": str(folder / "slurm.conf"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    yield environment
    subprocess.run([sys.executable, SCRIPT, "stop", folder], check=True)


@pytest.fixture
def slurm(cluster: dict[str, str]) -> Iterator[dict[str, str]]:
    yield cluster
    subprocess.run(["scancel", "--me"], env=cluster, check=False)
    until(lambda: not asked(cluster, "squeue", "--noheader"), "the jobs do not end")


def asked(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def sweep(folder: Path, environment: dict[str, str], jobs: tuple[str, ...], *more: str) -> dict[str, object]:
    """Run a sweep to its end and return its results."""
    with begun(folder, environment, jobs, *more) as command:
        told = finished(command)
    assert "sacct" not in told and "WARNING" not in told
    return results(folder)


@pytest.fixture(scope="module")
def whole(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The long sweep in one process."""
    found = sweep(tmp_path_factory.mktemp("whole") / "here", cluster, LONG)
    assert len(found) == 2
    return found


@contextmanager
def in_training(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The command of the long sweep on Slurm, whose jobs train."""
    with begun(folder, environment, LONG, SLURM) as command:
        until(lambda: both_beyond(folder, 100), "the jobs do not start")
        yield command


def stopped_at(folder: Path) -> list[int]:
    """The steps of the checkpoints that the ends of jobs have written."""
    return sorted(int(path.stem.split("_")[1]) for path in folder.glob("*/checkpoints/step_*.pt"))


def test_a_sweep_on_slurm_is_the_sweep_of_one_process(slurm: dict[str, str], tmp_path: Path) -> None:
    here = sweep(tmp_path / "here", slurm, SHORT)
    assert len(here) == 4
    assert sweep(tmp_path / "there", slurm, SHORT, SLURM) == here


def test_cancelled_jobs_write_checkpoints_and_are_resumed(
    slurm: dict[str, str], tmp_path: Path, whole: dict[str, object]
) -> None:
    folder = tmp_path / "there"
    with in_training(folder, slurm) as command:
        asked(slurm, "scancel", "--me")
        command.communicate(timeout=SECONDS)
    assert command.returncode == 143
    until(lambda: len(stopped_at(folder)) == 2, "there are no checkpoints")
    assert all(100 < step < 4000 for step in stopped_at(folder))
    assert sweep(folder, slurm, LONG, SLURM) == whole


def test_a_job_out_of_time_writes_a_checkpoint_and_goes_on_from_it(
    slurm: dict[str, str], tmp_path: Path, whole: dict[str, object]
) -> None:
    folder = tmp_path / "there"
    # Slurm warns 45 seconds before the minute is over, and starts a job that is submitted again after two minutes.
    limit = ("timeout_min=1", "signal_delay_s=45", "max_num_timeout=20")
    with begun(folder, slurm, LONG, SLURM, *(f"hydra.launcher.{each}" for each in limit)) as command:
        until(lambda: len(stopped_at(folder)) >= 2, "no job is out of time")
        while command.poll() is None:
            for job in asked(slurm, "squeue", "--noheader", "--states=PENDING", "--array", "--format=%i").split():
                subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], env=slurm, check=False)
            time.sleep(1)
    assert command.returncode == 0
    logs = [path.read_text() for path in folder.glob("*/run.log")]
    assert len(logs) == 2 and all("stopped by a signal at step" in text for text in logs)
    assert results(folder) == whole


def test_a_killed_job_ends_the_command_and_the_others_go_on(
    slurm: dict[str, str], tmp_path: Path, whole: dict[str, object]
) -> None:
    folder = tmp_path / "there"
    with in_training(folder, slurm) as command:
        victim = asked(slurm, "pgrep", "--full", "--newest", "submitit.core._submit").split()[0]
        os.kill(int(victim), signal.SIGKILL)
        told = command.communicate(timeout=SECONDS)[1]
    assert command.returncode == 1
    assert "state: FAILED" in told and "resume=auto resumes the sweep" in told
    until(lambda: not asked(slurm, "squeue", "--noheader"), "the other job does not end")
    assert len(results(folder)) == 1
    assert sweep(folder, slurm, LONG, SLURM) == whole


def test_jobs_outlive_the_command_and_are_found_finished(
    slurm: dict[str, str], tmp_path: Path, whole: dict[str, object]
) -> None:
    folder = tmp_path / "there"
    with in_training(folder, slurm) as command:
        command.kill()
        command.communicate(timeout=SECONDS)
    until(lambda: len(results(folder)) == 2, "the jobs do not finish")
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.json")}
    assert sweep(folder, slurm, LONG, SLURM) == whole
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.json")} == written


def test_a_controller_that_dies_and_comes_back(slurm: dict[str, str], tmp_path: Path, whole: dict[str, object]) -> None:
    folder, conf = tmp_path / "there", Path(slurm["SLURM_CONF"])
    with in_training(folder, slurm) as command:
        os.kill(int((conf.parent / "slurmctld.pid").read_text()), signal.SIGKILL)
        time.sleep(5)
        subprocess.run(["slurmctld", "-f", conf], env=slurm, check=True)
        told = command.communicate(timeout=SECONDS)[1]
    assert command.returncode == 0, told
    assert results(folder) == whole
