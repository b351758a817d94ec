"""Restarts training after a divergence, from the last checkpoint and with a smaller learning rate."""

import logging
import traceback
from collections.abc import Sequence

from hfvae_runner.errors import Diverged
from hfvae_runner.storage.run_folder import RunFolder, checkpoint_of
from hfvae_runner.training.checkpoint import State, restore
from hfvae_runner.training.loop import train
from hfvae_runner.training.member import Member, save_state
from hfvae_runner.training.run import Run

logger = logging.getLogger(__name__)


def train_with_restarts(members: Sequence[Member]) -> None:
    """Train; with ``on_divergence=restart``, a run that diverges is restored from its last checkpoint.

    The learning rates of all groups are then multiplied by ``train.restart_factor``. Data order and noise are those of
    the first time, and so are all checkpoints that a resume finds: a run that is killed on the way ends no differently.
    Of several members, one that is taken back goes on alone, once the others are done.

    A member's ``error`` is Diverged as often as ``train.restarts`` allows and once more, or with
    ``on_divergence=stop``; StorageError where a row or a checkpoint could not be written.

    Raises:
        SystemExit: after SIGTERM or SIGINT, with a checkpoint of each written.
    """
    if members[0].run.config.on_divergence == "stop":
        train(members)
        return
    for member in members:
        with member.isolated():
            # Something to go back to, should the first steps diverge.
            if checkpoint_of(member.folder.path) is None:
                save_state(member.run, member.state, member.folder)
    if ready := [member for member in members if member.error is None]:
        train(ready)
    for member in members:
        with member.isolated():
            while isinstance(error := member.error, Diverged):
                _restore_after_divergence(member.run, member.state, member.folder, error)
                member.error = None
                member.observer.discard_after(member.state.step)
                # Its frames hold the ended training's step, and with it a GPU's memory.
                traceback.clear_frames(error.__traceback__)
                train([member])


def _restore_after_divergence(run: Run, state: State, folder: RunFolder, error: Diverged) -> None:
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
