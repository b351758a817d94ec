"""The same sweep however it is launched: with the launchers' real processes, and real training in them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from launching import FakeBuild, compose, refused

import hfvae_runner
from hfvae_runner.launch import Gate, main, plugins, run_name
from hfvae_runner.launch.jobs import JobEnded

SECONDS = 240  # for what takes some ten of them where nothing else runs
SMALL = ("-m", "image_size=8", "metrics=hoyer", "metrics.figures=false", "threads=1")
# The second job diverges.
GRID = (*SMALL, "steps=20", "lr=1e-3,1e9,1e-2")
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local",),
    "ray": ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
}


def environment(home: Path) -> dict[str, str]:
    """Of a process that writes nothing into the user's home, and warns of nothing."""
    package = str(Path(hfvae_runner.__file__).parents[1])
    quiet = {"PYTHONWARNINGS": "ignore", "RAY_USAGE_STATS_ENABLED": "0"}
    return {**os.environ, **quiet, "PYTHONPATH": package, "HOME": str(home), "OMP_NUM_THREADS": "1"}


def started(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in a session of its own, so that one can see whether anything is left of it."""
    command = [sys.executable, "-m", "hfvae_runner", *arguments]
    return subprocess.Popen(command, env=environment(home), text=True, stderr=subprocess.PIPE, start_new_session=True)


def swept(home: Path, *arguments: str, exit_code: int) -> str:
    """What the sweep said on stderr."""
    process = started(home, *arguments)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == exit_code, errors
    return errors


def results(sweep: Path) -> dict[str, object]:
    """Each job's metrics but for times, or its status, by the name of its folder."""
    found: dict[str, object] = {}
    for folder in sorted(path for path in sweep.iterdir() if path.is_dir() and not path.name.startswith(".")):
        path = folder / "metrics.json"
        found[folder.name] = json.loads((path if path.exists() else folder / "status.json").read_text())
        if path.exists():
            for key in ("wall_seconds", "examples_per_second"):
                del found[folder.name]["run"][key]
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sweep's folder as the basic launcher leaves it."""
    folder = tmp_path_factory.mktemp("plain") / "sweep"
    assert main([*GRID, f"hydra.sweep.dir={folder}"]) == 3
    assert len(results(folder)) == 3
    yield folder
    HydraConfig.instance().cfg = None


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_launcher_makes_no_difference(launcher: str, plain: Path, tmp_path: Path) -> None:
    finished, failed, new = (plain / run_name([*GRID[1:], f"lr={lr}"]) for lr in ("0.001", "1000000000.0", "0.01"))
    sweep = tmp_path / "sweep"
    for folder in (finished, failed):
        shutil.copytree(folder, sweep / folder.name)
    before = (sweep / finished.name / "metrics.json").stat(), (sweep / failed.name / "status.json").stat()
    told = swept(tmp_path, *GRID, *LAUNCHERS[launcher], f"hydra.sweep.dir={sweep}", "resume=auto", exit_code=3)
    assert "Traceback" not in told
    assert results(sweep) == results(plain)
    after = (sweep / finished.name / "metrics.json").stat(), (sweep / failed.name / "status.json").stat()
    assert before[0].st_mtime_ns == after[0].st_mtime_ns
    assert before[1].st_mtime_ns < after[1].st_mtime_ns
    assert (sweep / new.name / "metrics.json").exists()


# Signals


def killed_in_training(home: Path, signum: signal.Signals, launcher: Sequence[str], jobs: int) -> tuple[int, Path]:
    """The exit code of a sweep of four long jobs that got the signal once so many of them were at work."""
    sweep = home / "sweep"
    endless = ("steps=1000000", "checkpoints.every=1000000", "seed=0,1,2,3")
    process = started(home, *SMALL, *endless, *launcher, f"hydra.sweep.dir={sweep}")
    try:
        end = time.monotonic() + SECONDS
        while len(list(sweep.glob("*/history.csv"))) < jobs:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signum)
        process.wait(timeout=SECONDS / 4)
        while lives(process.pid):
            assert time.monotonic() < end, "a process is left"
            time.sleep(0.1)
    finally:
        if lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return process.returncode, sweep


def lives(group: int) -> bool:
    """Whether a process of the group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def stopped(sweep: Path) -> int:
    """How many jobs ended with a checkpoint; there is nothing of the others."""
    assert not list(sweep.glob("*/status.json"))
    folders = {path for path in sweep.iterdir() if path.is_dir() and not path.name.startswith(".")}
    logs = [folder / "run.log" for folder in folders]
    assert all("stopped by a signal at step" in log.read_text() for log in logs)
    assert {path.parent.parent for path in sweep.glob("*/checkpoints/last.pt")} == folders
    return len(folders)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_signal_reaches_the_processes_of_every_launcher(
    launcher: str, signum: signal.Signals, tmp_path: Path
) -> None:
    jobs = 4 if launcher == "submitit" else 2
    exit_code, sweep = killed_in_training(tmp_path, signum, LAUNCHERS[launcher], jobs)
    assert exit_code == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert stopped(sweep) == jobs


@pytest.mark.slow
def test_a_signal_ends_a_sweep_in_one_process(tmp_path: Path) -> None:
    exit_code, sweep = killed_in_training(tmp_path, signal.SIGTERM, (), jobs=1)
    assert exit_code == 143
    assert stopped(sweep) == 1


def test_a_job_that_was_ended_ends_the_sweep() -> None:
    ended = JobReturn(status=JobStatus.FAILED, _return_value=JobEnded(143))
    Gate().on_job_end(compose(), ended)
    with pytest.raises(SystemExit) as end:
        _ = ended.return_value
    assert end.value.code == 143


# Plugins


@pytest.mark.parametrize(
    ("choice", "extra"),
    [
        ("hydra/launcher=joblib", "joblib"),
        ("hydra/launcher=submitit_local", "submitit"),
        ("hydra/launcher=submitit_slurm", "submitit"),
        ("hydra/launcher=ray", "ray"),
        ("hydra/sweeper=optuna", "optuna"),
    ],
)
@pytest.mark.parametrize("others", [False, True])
def test_what_is_not_installed_is_named(
    choice: str,
    extra: str,
    others: bool,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"hydra_plugins": ModuleSpec("hydra_plugins", None)} if others else {}
    monkeypatch.setattr(plugins, "find_spec", found.get)
    line = refused(capsys, "-m", "seed=0,1", choice)
    assert line.startswith(f"error: {choice} is not installed")
    assert f'pip install "hfvae_runner[{extra}]"' in line
    assert not list(workplace.iterdir())


def test_batches_are_refused(build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hydra.sweeper.max_batch_size=2" in refused(capsys, "-m", "seed=0,1,2", "hydra.sweeper.max_batch_size=2")
    assert not build.ran


def test_a_ray_cluster_that_is_not_there(build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = "hydra.launcher.ray.init.address=127.0.0.1:1"
    line = refused(capsys, "-m", "seed=0,1", "hydra/launcher=ray", nowhere)
    assert f"{nowhere}: no Ray cluster there" in line
    assert not build.ran
    assert not list(workplace.iterdir())


def test_one_process_is_this_one(build: FakeBuild, workplace: Path) -> None:
    assert main(["-m", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]) == 0
    assert [config.seed for config, _ in build.ran] == [0, 1]


@pytest.mark.parametrize(
    ("choices", "place"),
    [
        ((), "here"),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=1"), "here"),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), "beside"),
        (("hydra/launcher=submitit_local",), "beside"),
        (("hydra/launcher=submitit_slurm",), "elsewhere"),
        (("hydra/launcher=ray",), "beside"),
        (("hydra/launcher=ray", "hydra.launcher.ray.init.address=local"), "beside"),
        (("hydra/launcher=ray", "hydra.launcher.ray.init.address=head:6379"), "elsewhere"),
    ],
)
def test_where_jobs_run(choices: Sequence[str], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert plugins.place(compose(*choices).hydra) == place


def test_a_ray_cluster_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert plugins.place(compose("hydra/launcher=ray").hydra) == "elsewhere"


@pytest.mark.parametrize(
    ("choices", "jobs", "threads"),
    [
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=4"), 24, 4),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=4"), 2, 8),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=32"), 32, 1),
        (("hydra/launcher=submitit_local",), 5, 3),
        (("hydra/launcher=submitit_local",), 0, 16),
        (("hydra/launcher=ray",), 4, None),
        (("hydra/launcher=submitit_slurm",), 4, None),
        ((), 4, None),
    ],
)
def test_the_jobs_share_the_cores(
    choices: Sequence[str], jobs: int, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_cores", lambda: 16)
    assert plugins.threads(compose(*choices).hydra, jobs) == threads


def test_the_jobs_share_the_devices() -> None:
    assert [plugins.device_index(place, 3) for place in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert [plugins.device_index(place, 1) for place in range(3)] == [0, 0, 0]
