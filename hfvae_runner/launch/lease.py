"""Ends the jobs of a sweep in other processes of this machine when the sweep ends.

The process that leads the sweep holds a lock on a file, and writes the signal that it receives to that file. The
process of a job checks the file several times a second. A free lock means that the leader has ended, for any reason.
"""

import atexit
import fcntl
import itertools
import os
import select
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

from hfvae_runner.launch.sweep_lines import Tally
from hfvae_runner.training.signals import exit_on_sigterm

_FOLDER = "HFVAE_RUNNER_LEASE"
_THREADS = "OMP_NUM_THREADS"
_LOOK_EVERY = 0.2  # seconds
_TIME_TO_END = 60.0  # seconds in which a job whose leader has ended can finish its step


class Leader:
    """The process that leads a sweep.

    Attributes:
        signum: the received signal, which ends jobs in other processes; None if none was received.
        failure: the exit code of the first job that failed; None if none has failed.
        tally: of the jobs, if all of them run in this process and their number is known.
    """

    def __init__(self) -> None:
        self.tally: Tally | None = None
        self.signum: int | None = None
        self.failure: int | None = None
        self._lease: int | None = None
        self._held = ExitStack()

    def note_failure(self, exit_code: int) -> None:
        """Record the exit code of a failed job, if it is the first."""
        if self.failure is None:
            self.failure = exit_code

    def hold(self, threads: int | None) -> None:
        """Set the environment of processes that are started for jobs, so that they end when this process ends.

        Args:
            threads: the number of threads of each process if OMP_NUM_THREADS is not set; None leaves it to the
                launcher.
        """
        folder, self._lease = _lease()
        os.ftruncate(self._lease, 0)
        self._held.enter_context(_variable(_FOLDER, str(folder)))
        if threads is not None and _THREADS not in os.environ:
            self._held.enter_context(_variable(_THREADS, str(threads)))

    def listen(self) -> None:
        """Pass the first SIGTERM or SIGINT on to the jobs of this machine, whose end then ends the sweep.

        A second signal ends this process at once; so does the first one if the jobs run on other machines. Outside the
        main thread Python delivers no signals.
        """
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                self._held.callback(signal.signal, signum, signal.signal(signum, self._pass_on))

    def release(self) -> None:
        """Restore the environment and the signal handlers at the end of the sweep."""
        self._held.close()

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None or self._lease is None:
            self.signum = signum
            raise KeyboardInterrupt  # Ray would change the exit code of a SystemExit; `leading` raises the right one
        self.signum = signum
        os.write(self._lease, str(signum).encode())


@cache
def _lease() -> tuple[Path, int]:
    """Return the folder and its locked file, open until this process ends, since a launcher may keep its processes."""
    folder = Path(tempfile.mkdtemp(prefix="hfvae_runner-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    descriptor = os.open(folder / "lease", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return folder, descriptor


class _Follower:
    """The process of a job, from its first job on until it ends.

    Attributes:
        place: the least number that no other process of the sweep had taken.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lease = os.open(folder / "lease", os.O_RDONLY)
        self.place = self._free_place()
        self._idle = threading.Event()
        self._idle.set()
        # The pipe records signals even while the training loop has its own handlers: a signal to the whole process
        # group also reaches this process directly, and the leader's request must not count as a second one.
        self._arrivals, arrives = os.pipe()
        os.set_blocking(arrives, False)
        signal.set_wakeup_fd(arrives, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._leave)
        threading.Thread(target=self._look_out, daemon=True).start()

    @contextmanager
    def at_work(self) -> Iterator[int]:
        """Mark a job as running and yield the place; raise SystemExit if the sweep is ending."""
        self._arrived()
        self._idle.clear()
        try:
            if self._ends():
                raise SystemExit(128 + signal.SIGTERM)
            yield self.place
        finally:
            self._idle.set()

    def _leave(self, signum: int, frame: FrameType | None) -> None:
        if not self._idle.is_set():
            raise SystemExit(128 + signum)

    def _look_out(self) -> None:
        while not self._ends():
            time.sleep(_LOOK_EVERY)
        if not self._idle.is_set() and not self._arrived() & {signal.SIGTERM, signal.SIGINT}:
            os.kill(os.getpid(), signal.SIGTERM)
        while not self._is_alone():
            time.sleep(_LOOK_EVERY)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._idle.wait(_TIME_TO_END)
        os._exit(128 + signal.SIGTERM)

    def _arrived(self) -> set[int]:
        """Return the signals received since the last call."""
        return set(os.read(self._arrivals, 4096)) if select.select([self._arrivals], [], [], 0)[0] else set()

    def _ends(self) -> bool:
        return bool(os.pread(self._lease, 1, 0)) or self._is_alone()

    def _is_alone(self) -> bool:
        return _taken(self._lease, fcntl.LOCK_SH)

    def _free_place(self) -> int:
        for place in itertools.count():
            descriptor = os.open(self._folder / f"place_{place}", os.O_CREAT | os.O_WRONLY)
            if _taken(descriptor, fcntl.LOCK_EX):  # stays open, and so locked, until the process ends
                return place
            os.close(descriptor)
        raise AssertionError("places are without end")


_leader: Leader | None = None
_follower: _Follower | None = None


@contextmanager
def leading() -> Iterator[Leader]:
    """Make this process the leader of a sweep; raise SystemExit at the end if a signal was received."""
    global _leader
    _leader = leader = Leader()
    try:
        yield leader
    finally:
        _leader = None
        leader.release()
        if leader.signum is not None:
            raise SystemExit(128 + leader.signum)


def leader() -> Leader | None:
    """Return the leader if this process leads a sweep, else None."""
    return _leader


@contextmanager
def following() -> Iterator[int | None]:
    """Run a job in a process that does not lead the sweep; yield its place among those of this machine, or None.

    The place is None if no leader on this machine has started the process, and outside the main thread.

    Raises:
        SystemExit: the sweep is ending, or this process received a signal to end.
    """
    global _follower
    folder = os.environ.get(_FOLDER)
    if folder is None or threading.current_thread() is not threading.main_thread():
        with exit_on_sigterm():
            yield None
        return
    if _follower is None:
        try:
            _follower = _Follower(Path(folder))
        except FileNotFoundError:  # the leader has ended
            raise SystemExit(128 + signal.SIGTERM) from None
    with _follower.at_work() as place:
        yield place


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
