"""The training loop.

A step is counted after it is done: ``state.step`` is 1 after the first.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NoReturn

from torch import Tensor
from tqdm import tqdm

from hfvae_runner.console import bar_type, hidden
from hfvae_runner.training.clock import Clock
from hfvae_runner.training.member import Member, save_state
from hfvae_runner.training.row import check_finite, history_row
from hfvae_runner.training.run import Run, inputs_of, steps_of
from hfvae_runner.training.signals import stop_requests
from hfvae_runner.training.stack import StepResults, Values, rates, unstack

logger = logging.getLogger(__name__)


def train(members: Sequence[Member]) -> None:
    """Train all members from their common step to ``total_steps``.

    Rows are sent to the members' observers, and checkpoints are written to their folders. A member that diverges, or
    whose files cannot be written, stops with its ``error`` set; the others continue. For ``on_divergence=restart``,
    ``training.restart.train_with_restarts`` calls this function again.

    Args:
        members: one member, or several that a ``Stack`` can hold.

    Raises:
        SystemExit: after SIGTERM (143) or SIGINT (130); a checkpoint of each member has been written.
    """
    # Adjacent members with the same learning rates share one update.
    team = sorted(members, key=lambda member: rates(member.state.optimizer))
    first = team[0].run
    take_step = steps_of([(member.run, member.state) for member in team])
    clock = Clock(team)
    for member in team:
        member.run.model.train()
    with stop_requests() as stop, _progress(team) as bar:
        while team and (step := team[0].state.step) < first.total_steps:
            inputs = [inputs_of(member.run, member.state) for member in team]
            results = StepResults(*take_step(inputs))
            step += 1
            for member in team:
                member.state.step = step
            bar.update()

            # Read once: a signal that arrives while the row is written ends the next step, which then has a checkpoint.
            stopping = stop.signum is not None
            due = _Due.after(step, first, stopping=stopping)
            # On a GPU, reading the loss waits for it, so it is read only when something is written anyway.
            if due.anything or (first.device.type == "cpu" and not results.all_finite()):
                per_member = results.per_member()
                for member, (*_, knobs), values in zip(team, inputs, per_member, strict=True):
                    with member.isolated():
                        _conclude(member, due, values, knobs, clock)
                if due.row:
                    bar.set_postfix_str(_shown(per_member))
                if any(member.error for member in team):
                    _drop_ended(team)
                    if not team:
                        return
                    take_step = steps_of([(member.run, member.state) for member in team])
                if stopping:
                    stop.end()


@dataclass(frozen=True)
class _Due:
    """What is due after a step.

    Rows depend only on the step, not on where a run starts or ends; a checkpoint is also due at the end of the training
    and after a signal.
    """

    row: bool
    measure: bool
    save: bool
    stop: bool

    @classmethod
    def after(cls, step: int, run: Run, *, stopping: bool) -> "_Due":
        config, ends = run.config, stopping or step == run.total_steps
        return cls(
            row=step == 1 or step % config.train.log_every == 0,
            measure=config.metrics.every is not None and step % config.metrics.every == 0,
            save=step % config.checkpoints.every == 0 or ends,
            stop=stopping,
        )

    @property
    def anything(self) -> bool:
        return self.row or self.measure or self.save


def _conclude(member: Member, due: _Due, values: Values, knobs: Tensor, clock: Clock) -> None:
    """Check a member's values after a step, and write what is due."""
    run, state = member.run, member.state
    check_finite(values, state, member.folder)
    if due.row:
        row = history_row(run, state, knobs, values)
        member.observer.row({**row, "examples_per_second": clock.rate(run.config.batch_size)})
    # Before the checkpoint: a run that is killed in between would lose a measurement made after it.
    if due.measure:
        member.observer.measure(state.step)
        run.model.train()
    if due.save:
        clock.note()
        save_state(run, state, member.folder)
    if due.stop:
        logger.info(
            "stopped by a signal at step %d of %d; resume=auto continues from there", state.step, run.total_steps
        )


def _drop_ended(team: list[Member]) -> None:
    """Remove members with an error from the team."""
    left = [member for member in team if member.error is None]
    for member in team:
        if len(team) > 1 and (member not in left or len(left) == 1):
            unstack(member.trainable)
    team[:] = left


def _progress(team: Sequence[Member]) -> "tqdm[NoReturn]":
    first = team[0]
    bar: tqdm[NoReturn] = bar_type()(
        total=first.run.total_steps,
        initial=first.state.step,
        desc=f"{len(team)} runs" if len(team) > 1 else None,
        unit="step",
        dynamic_ncols=True,
        disable=hidden(first.run.config.train.progress),
    )
    return bar


def _shown(values: Sequence[Values]) -> str:
    """Return the loss and the ELBO, if it is defined, averaged over the members, as text."""
    loss = fmean(each["loss"][0] for each in values)
    if "kl/joint" not in values[0]:
        return f"loss {loss:.2f}"
    elbo = fmean(each["reconstruction"][0] - each["kl/joint"][0] for each in values)
    return f"loss {loss:.2f}, elbo {elbo:.2f}"
