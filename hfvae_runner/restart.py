"""Training that goes on after a divergence, from the last checkpoint and with a smaller learning rate."""

import logging

from hfvae_runner.errors import Diverged
from hfvae_runner.record import RunFolder, checkpoint_of
from hfvae_runner.state import State, restore
from hfvae_runner.train import Observer, Run, save_state, train

logger = logging.getLogger(__name__)


def train_on(run: Run, state: State, folder: RunFolder, observer: Observer) -> None:
    """As ``train``; with ``on_divergence=restart`` a divergence takes the run back to its last checkpoint.

    The learning rates of all groups are then multiplied by ``train.restart_factor``. Data order and noise are those of
    the first time, and so are all checkpoints that a resume finds: a run that is killed on the way ends no differently.

    Raises:
        Diverged: as often as ``train.restarts`` allows and once more, or with ``on_divergence=stop``.
        StorageError: a row or a checkpoint could not be written.
        SystemExit: after SIGTERM or SIGINT, with a checkpoint written.
    """
    if run.config.on_divergence == "stop":
        train(run, state, folder, observer)
        return
    if checkpoint_of(folder.path) is None:
        # Something to go back to, should the first steps diverge.
        save_state(run, state, folder)
    while True:
        try:
            train(run, state, folder, observer)
            return
        except Diverged as error:
            _take_back(run, state, folder, error)
            observer.take_back(state.step)


def _take_back(run: Run, state: State, folder: RunFolder, error: Diverged) -> None:
    checkpoint = checkpoint_of(folder.path)
    assert checkpoint is not None
    restore(state, checkpoint)
    if len(state.restarts) >= run.config.train.restarts:
        raise Diverged(f"{error}; restarted {len(state.restarts)} times before") from error
    for group in state.optimizer.param_groups:
        group["lr"] *= run.config.train.restart_factor
    state.restarts.append({"step": state.step, "lr": state.lr})
    # A run that is killed before its next checkpoint goes on with the smaller rate, too.
    save_state(run, state, folder)
    logger.warning("%s", error)
    logger.warning("restarted from step %d with lr=%g", state.step, state.lr)
