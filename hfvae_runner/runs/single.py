"""One run from its config to its results: started or resumed, trained, measured, and measured again."""

import logging
from collections.abc import Iterator, Mapping
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
from hfvae_runner.trackers import Trackers
from hfvae_runner.training.checkpoint import State, newest_good, point_last_to, restore
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
        RunnerError: the config, the data or the checkpoint is not usable, or training diverged.
        SystemExit: after SIGTERM or SIGINT.
    """
    with opened(config, folder) as member:
        train_with_restarts([member])
        return finish(member)


@contextmanager
def opened(config: Config, folder: Path) -> Iterator[Member]:
    """Open a run at its first step, or at the one it is resumed from; its folder is locked.

    Raises:
        RunnerError: as ``run``, also about an error that is raised in the block.
    """
    use_threads(config)
    commit()  # of the code that is loaded now, whatever happens to the files during training
    assembled = assemble(config)
    state = initial_state(assembled)
    with run_folder.locked(folder):
        checkpoint = _checkpoint(config, folder)
        if checkpoint is not None:
            with run_folder.logging_to(folder):
                refuse_other_data(assembled.dataset, folder)
                _resume_from(assembled, state, checkpoint)
        open_folder = RunFolder.create if checkpoint is None else RunFolder.reopen
        with open_folder(folder, config.resolved) as opened_folder:
            with run_folder.logging_to(folder):
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
    """Evaluate a trained run; return the content of metrics.json.

    Args:
        stacked: of how many members' training.

    Raises:
        Exception: the member's own, if that ended its training.
        RunnerError: something could not be measured or written.
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

    Every number is the one that the run itself would have had at its end. The ELBO and its terms are evaluated again
    where ``metrics.exact_limit`` has changed. Figures are drawn where the run has none and they are asked for.

    Args:
        config: the run's own, but for its metrics.
        folder: of the run.

    Raises:
        RunnerError: the run cannot be measured so, or the folder cannot be written.
    """
    stored = run_folder.read_config(folder)
    before, asked = schema.parse(stored).metrics, config.metrics
    with run_folder.locked(folder):
        metrics = run_folder.load_metrics(folder)
        run = finished_run(config, folder)
        with RunFolder.finished(folder, stored) as opened_folder, run_folder.logging_to(folder):
            whole = asked.exact_limit != before.exact_limit or asked.figures > before.figures
            for name, found in measured_again(run, opened_folder, whole=whole).items():
                section = metrics.get(name)
                own = dict(section) if isinstance(section, Mapping) else {}
                for key in found:
                    # What was undefined under other options may not be now.
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
    """Writes rows and results to the folder, then sends them to the trackers."""

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
    """The checkpoint to resume from; None for a new run."""
    if config.resume is None:
        return None
    return run_folder.checkpoint_of(folder) if config.resume == RESUME_AUTO else Path(config.resume)


def _resume_from(run: Run, state: State, checkpoint: Path) -> None:
    """Restore the state from a checkpoint, and make that ``last.pt``.

    Raises:
        CheckpointError: it cannot be used, with the newest one that can; or it is past the run's end.
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
    """A run before its first step."""
    generator = torch.Generator(run.device).manual_seed(derived(run.config.seed, "noise"))
    return State(run.model, run.objective, optimizer_of(run), generator)


def _log_start(run: Run, state: State, folder: Path) -> None:
    choices = " ".join(f"{group}={choice}" for group, choice in run.config.choices.items())
    logger.info("%s on %s: step %d to %d, %s", choices, run.device, state.step, run.total_steps, folder)
    for penalty in run.objective.penalties:
        for what, schedule in {"weight": penalty.weight, "target": penalty.target}.items():
            if schedule is not None and schedule.last_change > run.total_steps:
                logger.warning(
                    "the %s of %s moves until step %d, but the run ends at step %d",
                    what,
                    penalty.name,
                    schedule.last_change,
                    run.total_steps,
                )
