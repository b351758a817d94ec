"""One of the runs that are trained by one loop: its state, its folder, its observer and its checkpoints."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import yaml

from hfvae_runner.errors import Diverged
from hfvae_runner.storage.run_folder import RunFolder
from hfvae_runner.storage.run_log import logging_to
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.run import Run, trainable_of
from hfvae_runner.training.stack import Trainable


class Observer(Protocol):
    """Protocol of an object that receives a run's rows and results."""

    def row(self, row: Mapping[str, float | int]) -> None:
        """Receive a row for history.csv."""

    def measure(self, step: int) -> None:
        """Evaluate the model, every ``metrics.every`` steps; the model may be left in evaluation mode."""

    def discard_after(self, step: int) -> None:
        """Discard the rows and measurements after the step."""

    def results(self, metrics: Mapping[str, object]) -> None:
        """Receive the content of metrics.json."""


@dataclass(eq=False)
class Member:
    """One of the runs that are trained together, or the only one.

    Attributes:
        run: the run's objects.
        state: the run's current state.
        folder: the open run folder, in which its checkpoints are saved.
        observer: receives its rows and evaluates its model.
        error: the error that ended its training; None if there was none.
    """

    run: Run
    state: State
    folder: RunFolder
    observer: Observer
    error: Exception | None = None

    @property
    def trainable(self) -> Trainable:
        """The modules and the optimiser, for a stack."""
        return trainable_of(self.run, self.state)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Log to this member's run.log, and store an exception of the block as this member's ``error``."""
        with logging_to(self.folder.path):
            try:
                yield
            except Exception as error:
                self.error = error


def save_state(run: Run, state: State, folder: RunFolder) -> None:
    """Write a checkpoint, after flushing history and evaluations.

    Raises:
        Diverged: a parameter is not finite.
        StorageError: the disk is full, or fails.
    """
    folder.flush()
    config = yaml.safe_dump(dict(run.config.resolved), sort_keys=False, allow_unicode=True)
    try:
        state.save(folder.checkpoints, run.config.checkpoints.keep, config)
    except Diverged as error:
        raise Diverged(f"training diverged: {error} with lr={state.lr:g}; {folder.last_good()}") from None
