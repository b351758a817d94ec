"""Signals: in the training loop they end the run after the current step, elsewhere SIGTERM and SIGINT end it at once.

SIGUSR2 ends a run only where a launcher handles it, as submitit does on Slurm: the job's time ends, or its machine is
needed. The launcher's handler then runs after the checkpoint; it submits the job again.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

_TO_END = (signal.SIGTERM, signal.SIGINT)
_TO_YIELD = signal.SIGUSR2


@dataclass
class StopRequest:
    """The signal that was received, if any.

    Attributes:
        signum: the signal's number; None if none was received.
        yields: the launcher's handler of SIGUSR2; None if there is none.
    """

    signum: int | None = None
    yields: Callable[[int, FrameType | None], object] | None = field(default=None, compare=False)

    @property
    def exit_code(self) -> int:
        """The exit code of the process after the signal: 143 for SIGTERM, 130 for SIGINT."""
        assert self.signum is not None
        return 128 + self.signum

    def end(self) -> NoReturn:
        """End the run.

        Raises:
            SystemExit: always, unless the launcher's handler of SIGUSR2 raises another exception, since it does not
                submit the job again.
        """
        if self.signum == _TO_YIELD and self.yields is not None:
            self.yields(_TO_YIELD, None)
        raise SystemExit(self.exit_code)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record the first SIGTERM, SIGINT or handled SIGUSR2; a second SIGTERM or SIGINT raises SystemExit.

    After SIGUSR2 the others are ignored: Slurm sends SIGTERM to a job that is submitted again. Outside the main thread
    Python delivers no signals, and none is recorded.
    """
    request = StopRequest()

    def note(signum: int, frame: FrameType | None) -> None:
        if request.signum is None:
            request.signum = signum
        elif _TO_YIELD not in (signum, request.signum):
            raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handler = signal.getsignal(_TO_YIELD)
    # By default, and where it is ignored, it is a number.
    request.yields = handler if callable(handler) and not isinstance(handler, signal.Handlers) else None
    noted = _TO_END if request.yields is None else (*_TO_END, _TO_YIELD)
    before = {signum: signal.signal(signum, note) for signum in noted}
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Raise SystemExit(143) on SIGTERM, which by default would end the process without any clean-up.

    Has no effect outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
