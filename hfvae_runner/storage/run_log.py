"""``run.log``: the log of a run, which the terminal shows, too."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import ClassVar, TextIO

from hfvae_runner.console import spelt_out

_LOGGER = logging.getLogger("hfvae_runner")
# The run folder whose lines are being logged, while several are open at once.
_SPEAKING: ContextVar[Path | None] = ContextVar("logging_to", default=None)
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Log only to this folder's run.log if several folders are open."""
    token = _SPEAKING.set(folder)
    try:
        yield
    finally:
        _SPEAKING.reset(token)


@contextmanager
def quietly() -> Iterator[None]:
    """Show only warnings on the terminal, as for the jobs of a sweep; run.log has every line."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


class RunLog:
    """The open log of a run folder.

    Args:
        folder: the run folder.
        name: of the file in it.
    """

    _open: ClassVar[list["RunLog"]] = []
    _terminal: ClassVar["_Terminal | None"] = None

    def __init__(self, folder: Path, name: str) -> None:
        self._file = _File(folder / name, encoding="utf-8")
        self._file.addFilter(lambda line: _SPEAKING.get() in (None, folder))
        _LOGGER.setLevel(logging.INFO)
        _LOGGER.addHandler(self._file)
        # One handler for all open folders, so that each line is printed once.
        if not RunLog._open:
            RunLog._terminal = _Terminal()
            _LOGGER.addHandler(RunLog._terminal)
        RunLog._open.append(self)

    def write(self, text: str) -> None:
        """Add an error to the file only."""
        self._file.handle(logging.makeLogRecord({"msg": text, "levelno": logging.ERROR}))

    def close(self) -> None:
        """Close the file; a second call has no effect."""
        if self not in RunLog._open:
            return
        RunLog._open.remove(self)
        _LOGGER.removeHandler(self._file)
        self._file.close()
        if not RunLog._open and RunLog._terminal is not None:
            _LOGGER.removeHandler(RunLog._terminal)
            RunLog._terminal.close()


class _File(logging.FileHandler):
    """A log file that stops when the disk is full; the terminal still shows every line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        _LOGGER.removeHandler(self)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class _Terminal(logging.StreamHandler[TextIO]):
    """A log handler that writes plain lines to stderr, above a progress bar if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(lambda line: line.levelno >= logging.WARNING or not _QUIET.get())

    def format(self, record: logging.LogRecord) -> str:
        return spelt_out(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        self.setStream(sys.stderr)  # may have changed since the first folder was opened
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)
