"""Restarts training after a divergence, from the last checkpoint and with smaller learning rates."""

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
    """Train all members; with ``on_divergence=restart``, restore a run that diverges from its last checkpoint.

    The learning rates of all groups are then multiplied by ``train.restart_factor``. Data order and noise are the same
    as before the restart. The state after a restart is saved at once, so a run that is killed and resumed ends with the
    same results. If there are several members, a restarted one is trained alone after the others have ended.

    A member's ``error`` is Diverged if it diverges with ``on_divergence=stop``, or after ``train.restarts`` restarts;
    it is StorageError if a row or a checkpoint cannot be written.

    Raises:
        SystemExit: after SIGTERM (143) or SIGINT (130); a checkpoint of each member has been written.
    """
    if members[0].run.config.on_divergence == "stop":
        train(members)
        return
    for member in members:
        with member.isolated():
            # A checkpoint to restore if the first steps diverge.
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
                # The frames refer to the step of the ended training, and so to its GPU memory.
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
    # So that a run that is killed before its next checkpoint also resumes with the smaller rate.
    save_state(run, state, folder)
    logger.warning("%s", error)
    logger.warning("restarted from step %d with lr=%g", state.step, state.lr)
