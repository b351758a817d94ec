"""One of the runs that are trained by one loop: its state, its folder, what observes it, and its checkpoints."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import yaml

from hfvae_runner.errors import Diverged
from hfvae_runner.storage.run_folder import RunFolder, logging_to
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.run import Run, trainable_of
from hfvae_runner.training.stack import Trainable


class Observer(Protocol):
    """Receives a run's rows and results."""

    def row(self, row: Mapping[str, float | int]) -> None:
        """Receive a row for history.csv."""

    def measure(self, step: int) -> None:
        """Evaluate the model, every ``metrics.every`` steps; may leave it in evaluation mode."""

    def discard_after(self, step: int) -> None:
        """Discard what came after the step."""

    def results(self, metrics: Mapping[str, object]) -> None:
        """Receive the content of metrics.json."""


@dataclass(eq=False)
class Member:
    """One of the runs that are trained together, or the only one.

    Attributes:
        state: where it stands.
        folder: where its checkpoints go.
        observer: is shown the rows, and asked to measure.
        error: what ended it before the others; None as long as nothing has.
    """

    run: Run
    state: State
    folder: RunFolder
    observer: Observer
    error: Exception | None = None

    @property
    def trainable(self) -> Trainable:
        """Its modules and optimiser, for a stack."""
        return trainable_of(self.run, self.state)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Log to this member's run.log; an exception in the block becomes this member's ``error`` and ends no other."""
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
