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
    """What a run shows of itself."""

    def row(self, row: Mapping[str, float | int]) -> None:
        """Takes a row for history.csv."""

    def measure(self, step: int) -> None:
        """Measures, every ``metrics.every`` steps; may put the model into evaluation mode."""

    def discard_after(self, step: int) -> None:
        """Forgets what came after the step."""

    def results(self, metrics: Mapping[str, object]) -> None:
        """Takes the content of metrics.json."""


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
        """What it brings to a stack."""
        return trainable_of(self.run, self.state)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """What the block logs is of this member, and what goes wrong there ends this one and no other."""
        with logging_to(self.folder.path):
            try:
                yield
            except Exception as error:
                self.error = error


def save_state(run: Run, state: State, folder: RunFolder) -> None:
    """Writes a checkpoint, after all that was appended to the folder so far.

    Raises:
        Diverged: a parameter is not finite.
        StorageError: there is no room.
    """
    folder.flush()
    config = yaml.safe_dump(dict(run.config.resolved), sort_keys=False, allow_unicode=True)
    try:
        state.save(folder.checkpoints, run.config.checkpoints.keep, config)
    except Diverged as error:
        raise Diverged(f"training diverged: {error} with lr={state.lr:g}; {folder.last_good()}") from None
