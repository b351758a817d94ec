"""All chosen trackers as one; an error of a tracker never ends a run."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.trackers._tracker import About, Status, Tracker, Tracking, numbers, one_line

logger = logging.getLogger(__name__)


class Trackers:
    """The opened trackers of one run; a context manager that closes them with the status of its block.

    A tracker that fails is closed with a warning in the log, and the run continues without it.
    """

    def __init__(self, chosen: Mapping[str, Tracking], about: About) -> None:
        self._chosen = chosen
        self._about = about
        self._opened: dict[str, Tracker] = {}
        self._step = 0
        self._last: set[str] = set()

    @classmethod
    def open(cls, chosen: Mapping[str, Tracking], folder: Path, config: Mapping[str, object], step: int) -> Self:
        """Open all trackers for a run.

        Args:
            chosen: the trackers' options, by name.
            folder: the run folder, which must exist.
            config: the resolved config.
            step: the optimiser step that the run resumes from; 0 for a new run.

        Raises:
            ConfigError: a tracker cannot be opened; the trackers opened before are closed.
        """
        trackers = cls(chosen, About(folder, config, step))
        for name, tracking in chosen.items():
            try:
                trackers._opened[name] = tracking.open(trackers._about)
            # A service may raise any exception; before the training starts, it is an error of the config.
            except Exception as error:
                trackers.close("failed")
                if isinstance(error, RunnerError):
                    raise
                raise ConfigError(f"trackers.{name} cannot be opened: {one_line(error)}") from error
        return trackers

    def row(self, step: int, values: Mapping[str, object]) -> None:
        """Send a row of history.csv, or of evaluations.jsonl, to all trackers."""
        if not self._opened:
            return
        row = numbers(values)
        row.pop("step", None)
        self._last = self._last | row.keys() if step == self._step else set(row)
        self._step = step
        self._each(lambda tracker: tracker.row(step, row))

    def discard_after(self, step: int) -> None:
        """Discard the rows after an earlier step, from which training resumes, by reopening all trackers there."""
        about = replace(self._about, step=step)
        for name in list(self._opened):
            with self._kept_going(name):
                self._opened[name].close("interrupted")
                self._opened[name] = self._chosen[name].open(about)

    def results(self, step: int, metrics: Mapping[str, object]) -> None:
        """Send the content of metrics.json and the figures to all trackers."""
        if not self._opened:
            return
        # Values measured at this step during training have been sent already.
        held = self._last if step == self._step else set()
        values = {name: value for name, value in numbers(metrics).items() if name not in held}
        figures = sorted((self._about.folder / "figures").glob("*.png"))
        self._each(lambda tracker: tracker.results(step, values, figures))

    def close(self, status: Status) -> None:
        """Close all trackers; a second call has no effect."""
        self._each(lambda tracker: tracker.close(status))
        self._opened.clear()

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._opened.items()):
            with self._kept_going(name):
                act(tracker)

    @contextmanager
    def _kept_going(self, name: str) -> Iterator[None]:
        try:
            yield
        # A service may raise any exception, none of which may end the training.
        except Exception as error:
            logger.warning("trackers.%s: %s; it is closed, the run continues", name, one_line(error))
            with suppress(Exception):
                self._opened.pop(name).close("failed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close("completed")
        else:
            self.close("failed" if issubclass(kind, Exception) else "interrupted")
