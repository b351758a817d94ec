"""What ends a sweep ends the processes of its jobs: with processes that do nothing but wait."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hfvae_runner
from hfvae_runner.launch import lease

SECONDS = 30  # for a process to start, or to see that it is to end

# Waits as a training loop does, says with which signal it ended, and stays for other jobs as a launcher's process does.
JOB = """
    import sys, time
    from pathlib import Path
    from hfvae_runner.launch import lease
    from hfvae_runner.training.signals import stop_requests

    folder = Path(sys.argv[1])
    try:
        with lease.following() as place, stop_requests() as stop:
            (folder / "place").write_text(str(place))
            while stop.signum is None:
                time.sleep(0.01)
            time.sleep(1)  # a second signal would leave from here
            (folder / "ended").write_text(str(stop.signum))
            raise SystemExit(128 + stop.signum)
    except SystemExit:
        (folder / "left").touch()
        time.sleep(600)
"""
LEADER = """
    import subprocess, sys
    from hfvae_runner.launch import lease

    with lease.leading() as leader:
        leader.hold(None)
        leader.listen()
        subprocess.run(sys.argv[1:])
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Runs a program with arguments; what is left of it is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(hfvae_runner.__file__).parents[1])}
        started.append(subprocess.Popen(command, env=environment, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        if group_lives(process):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def group_lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process or one that came from it is there."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def comes_about(condition: Callable[[], object]) -> bool:
    """Waits for it. Where a sweep has got a signal its SystemExit stands in for an assertion: ask for more after it."""
    end = time.monotonic() + SECONDS
    while not (met := bool(condition())) and time.monotonic() < end:
        time.sleep(0.02)
    return met


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_leader_is_the_jobs(
    signum: signal.Signals, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as end, lease.leading() as leader:
        leader.hold(None)
        leader.listen()
        start(JOB, str(tmp_path))
        assert comes_about((tmp_path / "place").exists)
        signal.raise_signal(signum)
        assert comes_about((tmp_path / "left").exists)
    assert (tmp_path / "ended").read_text() == "15"
    assert end.value.code == 128 + signum
    assert lease.leader() is None


def test_a_signal_to_all_of_them_counts_once(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    with pytest.raises(SystemExit), lease.leading() as leader:
        leader.hold(None)
        leader.listen()
        job = start(JOB, str(tmp_path))
        assert comes_about((tmp_path / "place").exists)
        job.send_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert comes_about((tmp_path / "left").exists)
    assert (tmp_path / "ended").read_text() == "2"


def test_a_second_signal_leaves_at_once() -> None:
    passed = []
    with pytest.raises(SystemExit) as end, lease.leading() as leader:
        leader.hold(None)
        leader.listen()
        signal.raise_signal(signal.SIGINT)
        passed.append("the first")
        signal.raise_signal(signal.SIGTERM)
        passed.append("the second")
    assert passed == ["the first"]
    assert end.value.code == 143


def test_where_the_jobs_run_elsewhere_the_first_leaves_at_once() -> None:
    passed = []
    with pytest.raises(SystemExit) as end, lease.leading() as leader:
        leader.listen()
        signal.raise_signal(signal.SIGTERM)
        passed.append("the first")
    assert not passed
    assert end.value.code == 143


def test_signals_are_as_before_after_a_sweep() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), dict(os.environ)
    with lease.leading() as leader:
        leader.hold(3)
        leader.listen()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), dict(os.environ)) == before


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_job_outlives_its_leader(
    signum: signal.Signals, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    leader = start(LEADER, sys.executable, "-c", textwrap.dedent(JOB), str(tmp_path))
    assert comes_about((tmp_path / "place").exists)
    leader.send_signal(signum)
    # Without a leader the process may end as soon as the job has: it need not come to say that it left.
    ended = tmp_path / "ended"
    assert comes_about(lambda: ended.exists() and ended.read_text() == "15")
    if signum == signal.SIGTERM:  # it waits for the job's process, which would stay
        assert leader.poll() is None
        leader.kill()
    assert comes_about(lambda: not group_lives(leader))


def test_no_job_starts_once_the_sweep_ends(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    with pytest.raises(SystemExit), lease.leading() as leader:
        leader.hold(None)
        leader.listen()
        signal.raise_signal(signal.SIGTERM)
        start(JOB, str(tmp_path))
        assert comes_about((tmp_path / "left").exists)
    assert not (tmp_path / "place").exists()


def test_each_process_has_a_place_of_its_own(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    with lease.leading() as leader:
        leader.hold(None)
        jobs = []
        for folder in folders:
            folder.mkdir()
            jobs.append(start(JOB, str(folder)))
            assert comes_about((folder / "place").exists)
        assert [(folder / "place").read_text() for folder in folders] == ["0", "1", "2"]
        jobs[1].kill()
        jobs[1].wait()
        (tmp_path / "d").mkdir()
        start(JOB, str(tmp_path / "d"))
        assert comes_about((tmp_path / "d" / "place").exists)
        assert (tmp_path / "d" / "place").read_text() == "1"


def test_threads_are_given_where_nobody_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with lease.leading() as leader:
        leader.hold(3)
        assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with lease.leading() as leader:
        leader.hold(3)
        assert os.environ["OMP_NUM_THREADS"] == "5"


def test_a_process_without_a_leader_here_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HFVAE_RUNNER_LEASE", raising=False)
    with lease.following() as place:
        assert place is None
    with pytest.raises(SystemExit) as end, lease.following():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.code == 143
