"""Asking a loop to stop: SIGTERM and SIGINT are noted, and the loop ends its step first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether a signal has asked for an end.

    Attributes:
        signum: the signal's number, None as long as there was none.
    """

    signum: int | None = None

    @property
    def exit_code(self) -> int:
        """What the process exits with after the signal: 143 for SIGTERM, 130 for SIGINT."""
        assert self.signum is not None
        return 128 + self.signum


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes the first SIGTERM or SIGINT; a second one raises SystemExit at once.

    Outside the main thread Python delivers no signals, and nothing is noted.
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
