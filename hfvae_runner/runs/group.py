"""Trains several runs as one program, each in its own folder, with the same results as runs trained alone.

They are trained together (``training.stack``); each is opened, measured and finished separately.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from torch import nn

from hfvae_runner.config.schema import Config
from hfvae_runner.runs.assembly import assemble, use_threads
from hfvae_runner.runs.single import finish, initial_state, opened
from hfvae_runner.storage.run_log import logging_to
from hfvae_runner.training.member import Member
from hfvae_runner.training.memory import explained_exhaustion, free_bytes, step_bytes
from hfvae_runner.training.restart import train_with_restarts
from hfvae_runner.training.run import inputs_of, trainable_of
from hfvae_runner.training.stack import Stack, stacked_step

# The rest is left for evaluation and figures.
_SHARE_OF_FREE_MEMORY = 0.8


@dataclass(frozen=True)
class StackCapacity:
    """Whether runs of one structure can be trained as a stack, and how many.

    Attributes:
        obstacle: the reason why they cannot; None if they can.
        most: the largest number of runs that fit into the device's memory.
    """

    obstacle: str | None
    most: int = 1


@explained_exhaustion()
def stack_capacity(config: Config) -> StackCapacity:
    """Compute the loss of one run as a stack of one, and estimate how many runs fit into the device's free memory.

    Raises:
        RunnerError: the config cannot run here.
    """
    if config.runtime.compile:
        return StackCapacity("runtime.compile=true is for the step of a single run")
    use_threads(config)
    run = assemble(config)
    if any(isinstance(module, nn.Dropout) and module.p > 0 for module in run.model.modules()):
        return StackCapacity("its model has dropout, which draws from one stream of random numbers for all")
    state = initial_state(run)
    inputs = inputs_of(run, state)
    part = trainable_of(run, state)
    need = step_bytes(part.parameters(), run.loss, inputs, amsgrad=config.train.amsgrad)
    try:
        stacked_step(Stack([part], run.loss).losses, run.device)([inputs])
    except RuntimeError as error:
        return StackCapacity(f"torch.vmap cannot take its step ({' '.join(str(error).split())[:150]})")
    return StackCapacity(None, max(1, int(_SHARE_OF_FREE_MEMORY * free_bytes(run.device) / need)))


Ended = Callable[[int, Exception | None], None]
"""Called with a run's number and the error that ended it; None if it has finished."""


@explained_exhaustion()
def run_stacked(runs: Sequence[tuple[Config, Path]], ended: Ended) -> None:
    """Train runs of one structure as a stack and evaluate each as ``runs.single.run`` does.

    Args:
        runs: configs that differ only in values that ``launch.stacking`` allows to differ, and their folders.
        ended: called once for each run.

    Raises:
        SystemExit: after SIGTERM (143) or SIGINT (130); a checkpoint of each run has been written.
        Exception: an error of the whole group, such as too little memory; ``ended`` is not called for the runs that
            have not ended.
    """
    with ExitStack() as held:
        jobs = [_Job(number, config, folder, ended) for number, (config, folder) in enumerate(runs)]
        for job in jobs:
            held.push(job.held)
            job.open()
            _share_data(jobs[0], job)
        standing = sorted((job for job in jobs if job.member is not None), key=_Job.step)
        for _, of_one_step in groupby(standing, key=_Job.step):
            group = list(of_one_step)
            try:
                train_with_restarts([job.member for job in group if job.member is not None])
            finally:
                # Close runs that ended on their own, even if a signal ends the others.
                for job in group:
                    job.close_if_ended()
            for job in group:
                job.finish(stacked=len(group))


def _share_data(first: "_Job", job: "_Job") -> None:
    """Make both jobs use one copy of the training set."""
    if first.member is not None and job.member is not None and first.member.run.dataset is job.member.run.dataset:
        job.member.run.batches.share(first.member.run.batches)


class _Job:
    """One run of a group; an error closes its folder and does not affect the others.

    Attributes:
        member: the run's member while its folder is open, else None.
        held: the contexts that are open.
    """

    def __init__(self, number: int, config: Config, folder: Path, ended: Ended) -> None:
        self.member: Member | None = None
        self.held = ExitStack()
        self._number, self._config, self._folder, self._ended = number, config, folder, ended

    def step(self) -> int:
        """Return the run's current step."""
        assert self.member is not None
        return self.member.state.step

    def open(self) -> None:
        try:
            self.member = self.held.enter_context(opened(self._config, self._folder))
            self.member.state.hold_random_states()
        except Exception as error:
            self._ended(self._number, error)

    def close_if_ended(self) -> None:
        if self.member is not None and self.member.error is not None:
            self.finish(stacked=1)

    def finish(self, stacked: int) -> None:
        """Evaluate the run and close its folder."""
        member, self.member = self.member, None
        if member is None:
            return
        outcome: Exception | None = None
        try:
            with self.held, logging_to(self._folder):
                member.state.restore_random_states()
                finish(member, stacked)
        except Exception as error:
            outcome = error
        self._ended(self._number, outcome)
