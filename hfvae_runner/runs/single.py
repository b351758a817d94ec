"""One run from its config to its results: started or resumed, trained, measured, and measured again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from hfvae_runner.config import schema
from hfvae_runner.config.schema import RESUME_AUTO, Config
from hfvae_runner.data import Description
from hfvae_runner.errors import CheckpointError, StorageError
from hfvae_runner.evaluation.results import measured_again, observed, results
from hfvae_runner.evaluation.summary import table
from hfvae_runner.runs.assembly import assemble, finished_run, optimizer_of, refuse_other_data, use_threads
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.provenance import commit
from hfvae_runner.storage.run_folder import LAST, RunFolder
from hfvae_runner.storage.run_log import logging_to
from hfvae_runner.trackers import Trackers
from hfvae_runner.training.checkpoint import State, initialise, newest_good, point_last_to, restore
from hfvae_runner.training.member import Member
from hfvae_runner.training.memory import explained_exhaustion
from hfvae_runner.training.restart import train_with_restarts
from hfvae_runner.training.run import Run
from hfvae_runner.training.seeds import derived

logger = logging.getLogger(__name__)


@explained_exhaustion()
def run(config: Config, folder: Path) -> dict[str, object]:
    """Train and evaluate a run in its folder, or resume the one in it (``resume``).

    Returns:
        The content of metrics.json.

    Raises:
        RunnerError: the config, the data or the checkpoint cannot be used, or training diverged.
        SystemExit: after SIGTERM (143) or SIGINT (130); a checkpoint has been written.
    """
    with opened(config, folder) as member:
        train_with_restarts([member])
        return finish(member)


@contextmanager
def opened(config: Config, folder: Path) -> Iterator[Member]:
    """Open a run at its first step, or at the step it is resumed from, with its folder locked.

    Raises:
        RunnerError: the config, the data or the checkpoint cannot be used; or, for a StorageError raised in the block,
            the same error with the checkpoint to resume from.
    """
    use_threads(config)
    commit()  # of the code that is loaded now, whatever happens to the files during training
    assembled = assemble(config)
    state = initial_state(assembled)
    # Before the folder is made; a run that is resumed has its own parameters.
    if config.init_from is not None and _checkpoint(config, folder) is None:
        state.initialised = initialise(assembled.model, run_folder.source_of(config.init_from))
    with run_folder.locked(folder):
        checkpoint = _checkpoint(config, folder)
        if checkpoint is not None:
            with logging_to(folder):
                refuse_other_data(assembled.dataset, folder)
                _resume_from(assembled, state, checkpoint)
        open_folder = RunFolder.create if checkpoint is None else RunFolder.reopen
        with open_folder(folder, config.resolved) as opened_folder:
            with logging_to(folder):
                run_folder.write_data(folder, Description.of(assembled.dataset).to_json())
                opened_folder.discard_after(state.step)
                _log_start(assembled, state, folder)
                trackers = Trackers.open(assembled.trackers, folder, config.resolved, state.step)
            try:
                with trackers:
                    yield Member(
                        assembled, state, opened_folder, _RunObserver(assembled, state, opened_folder, trackers)
                    )
            except StorageError as error:
                raise StorageError(f"{error}; {opened_folder.last_good()}") from error


def finish(member: Member, stacked: int = 1) -> dict[str, object]:
    """Evaluate a trained run, write metrics.json and return its content.

    Args:
        member: the run.
        stacked: how many runs were trained together.

    Raises:
        Exception: the member's ``error``, if there is one.
        RunnerError: a metric cannot be computed, or a file cannot be written.
    """
    if member.error is not None:
        raise member.error
    run, state, folder = member.run, member.state, member.folder
    metrics = results(run, folder, state)
    if stacked > 1:
        metrics["run"] = {**cast(dict[str, object], metrics["run"]), "stacked": stacked}
    run_folder.write_metrics(folder.path, metrics)
    member.observer.results(metrics)
    logger.info("%s\nrun folder: %s", table(metrics), folder.path)
    return metrics


@explained_exhaustion()
def measure_again(config: Config, folder: Path) -> None:
    """Evaluate a finished run with the config's metrics and add them to metrics.json, without training.

    Every number equals the one that the run itself would have measured at its end. The ELBO and its terms are evaluated
    again if ``metrics.exact_limit`` has changed. Figures are drawn if the config requires them and the run has none.

    Args:
        config: the run's own config, except for its metrics.
        folder: the run folder.

    Raises:
        RunnerError: the run cannot be measured with this config, or the folder cannot be written.
    """
    stored = run_folder.read_config(folder)
    before, asked = schema.parse(stored).metrics, config.metrics
    with run_folder.locked(folder):
        metrics = run_folder.load_metrics(folder)
        run = finished_run(config, folder)
        with RunFolder.finished(folder, stored) as opened_folder, logging_to(folder):
            whole = asked.exact_limit != before.exact_limit or asked.figures > before.figures
            for name, found in measured_again(run, opened_folder, whole=whole).items():
                section = metrics.get(name)
                own = dict(section) if isinstance(section, Mapping) else {}
                for key in found:
                    # A value that was undefined with other options may be defined now.
                    own.pop(f"{key}_why", None)
                metrics[name] = {**own, **found}
            known = metrics.get("measured")
            metrics["measured"] = {**(known if isinstance(known, Mapping) else {}), **asked.options}
            run_folder.write_metrics(folder, metrics)
            logger.info("%s: measured %s", folder, ", ".join(asked.chosen) or "no metric of choice")
        if whole:
            own_metrics = cast(Mapping[str, object], stored["metrics"])
            drawn = {"exact_limit": asked.exact_limit, "figures": asked.figures or before.figures}
            run_folder.write_config(folder, {**stored, "metrics": {**own_metrics, **drawn}})


@dataclass(frozen=True)
class _RunObserver:
    """The observer of a run: writes rows and results to the folder, then sends them to the trackers."""

    run: Run
    state: State
    folder: RunFolder
    trackers: Trackers

    def row(self, row: Mapping[str, float | int]) -> None:
        self.folder.history.append(row)
        self.trackers.row(self.state.step, row)

    def measure(self, step: int) -> None:
        measured = observed(self.run, self.folder, self.state)
        self.folder.evaluations.append(measured)
        self.trackers.row(step, measured)

    def discard_after(self, step: int) -> None:
        self.folder.discard_after(step)
        self.trackers.discard_after(step)

    def results(self, metrics: Mapping[str, object]) -> None:
        self.trackers.results(self.state.step, metrics)


def _checkpoint(config: Config, folder: Path) -> Path | None:
    """Return the checkpoint to resume from; None for a new run."""
    if config.resume is None:
        return None
    return run_folder.checkpoint_of(folder) if config.resume == RESUME_AUTO else Path(config.resume)


def _resume_from(run: Run, state: State, checkpoint: Path) -> None:
    """Restore the state from a checkpoint, and make that checkpoint ``last.pt``.

    Raises:
        CheckpointError: the checkpoint cannot be used (the message names the newest one that can), or its step is
            after the run's end.
    """
    try:
        restore(state, checkpoint)
    except CheckpointError as error:
        good = newest_good(state, checkpoint.parent)
        way_out = (
            "no numbered one beside it is whole either" if good is None else f"resume={good} resumes from that one"
        )
        raise CheckpointError(f"{error}; {way_out}") from error
    if run.total_steps < state.step:
        raise CheckpointError(f"{checkpoint} is at step {state.step}; expected steps or epochs of at least that")
    if checkpoint.name != LAST:
        point_last_to(checkpoint)


def initial_state(run: Run) -> State:
    """Return the state of a run before its first step."""
    generator = torch.Generator(run.device).manual_seed(derived(run.config.seed, "noise"))
    return State(run.model, run.objective, optimizer_of(run), generator)


def _log_start(run: Run, state: State, folder: Path) -> None:
    choices = " ".join(f"{group}={choice}" for group, choice in run.config.choices.items())
    logger.info("%s on %s: step %d to %d, %s", choices, run.device, state.step, run.total_steps, folder)
    if run.batches.ahead:
        size = run.batches.x.nbytes / 1e9
        logger.info("the training set of %.1f GB stays on the CPU, too large for the device: batches are copied", size)
    if state.initialised is not None and state.step == 0:
        taken, left = (cast(Sequence[str], state.initialised[key]) for key in ("taken", "left"))
        said = "all" if not left else f"{len(taken)}; new are {', '.join(left)}"
        logger.info("parameters taken from %s, step %s: %s", state.initialised["path"], state.initialised["step"], said)
    for penalty in run.objective.penalties:
        for what, schedule in penalty.schedules.items():
            if schedule.last_change > run.total_steps:
                logger.warning(
                    "the %s of %s moves until step %d, but the run ends at step %d",
                    what,
                    penalty.name,
                    schedule.last_change,
                    run.total_steps,
                )
