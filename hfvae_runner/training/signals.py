"""Signal handling: in the training loop SIGTERM and SIGINT end the run after the current step, elsewhere at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """The signal that was received, if any.

    Attributes:
        signum: the signal's number; None if none was received.
    """

    signum: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the process after the signal: 143 for SIGTERM, 130 for SIGINT."""
        assert self.signum is not None
        return 128 + self.signum


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record the first SIGTERM or SIGINT; a second one raises SystemExit.

    Outside the main thread Python delivers no signals, and none is recorded.
    """
    request = StopRequest()

    def note(signum: int, frame: FrameType | None) -> None:
        if request.signum is not None:
            raise SystemExit(128 + signum)
        request.signum = signum

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {signum: signal.signal(signum, note) for signum in (signal.SIGTERM, signal.SIGINT)}
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
