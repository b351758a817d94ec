"""One Hydra job: checks its composed config, runs it, and reports errors."""

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from hfvae_runner.config import schema
from hfvae_runner.config.schema import RESUME_AUTO, Config
from hfvae_runner.console import spelt_out
from hfvae_runner.errors import ConfigError, Diverged, FolderInUse, RunnerError
from hfvae_runner.launch import lease, plugins, resume, search, sweep_lines
from hfvae_runner.launch.composition import one_line, resolve
from hfvae_runner.launch.resume import Job
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.run_log import quietly

EXIT_BUG = 1
_SUBMITTED_AGAIN = -1
"""The exit code with which submitit ends a process whose job it has submitted again; such a job has no result yet."""


class JobFailed(Exception):
    """A job of a sweep failed after the sweep had started; its message was printed and is in its status.json.

    The exit code is its only argument, so that it can be pickled between the processes of a sweep.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        # Unpickling repeats this in the sweep's process; a sweeper that searches does not report failures itself.
        if (leader := lease.leader()) is not None:
            leader.note_failure(exit_code)


class JobEnded(Exception):
    """A job in a process of its own was ended; a SystemExit would end that process and lose its other jobs.

    The exit code is its only argument. ``Gate.on_job_end`` converts it back to a SystemExit in the sweep's process.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class ProcessLost(RunnerError):
    """The process of a job died, which ends the sweep."""

    exit_code = EXIT_BUG


class Stopped(SystemExit):
    """A SystemExit that passes its cause through Hydra, which would suppress or rewrite an ordinary exception."""


def parse(config: DictConfig) -> Config:
    """Return the checked config of a job, without looking at its folder; raise ConfigError if it is invalid."""
    resolved = resolve(config)
    hydra = HydraConfig.get()
    # A search may try the same values again, and then needs the earlier result.
    if hydra.mode != RunMode.RUN and not plugins.is_grid(hydra) and resolved.get("resume") is None:
        resolved["resume"] = RESUME_AUTO
    job = schema.parse(resolved)
    if job.resume not in (None, RESUME_AUTO):
        raise ConfigError(f"resume={job.resume}: expected {RESUME_AUTO} in a sweep, or resume=FOLDER for a single run")
    return job


def tell_of_threads(job: Job | None, config: DictConfig, folder: Path) -> None:
    """Print a warning if a run is resumed with another number of threads than ``config`` has."""
    if job is not None and job.config.threads != config.threads:
        tell(f"{folder}: resumed with its own threads={'null' if job.config.threads is None else job.config.threads}")


def prepare(config: DictConfig, folder: Path) -> Job | None:
    """Return the checked job in this folder; None if the folder already holds all results of the config.

    Raises:
        ConfigError: the config is invalid, or does not fit the run in the folder.
        CheckpointError: the folder cannot be used.
    """
    return resume.standing_job(parse(config), folder)


def check(config: Config) -> None:
    """Check the parts of the config that need torch: classes and their arguments, data, device, and how they fit.

    Raises:
        ConfigError: a part is invalid, or parts do not fit together.
        DataError: the data cannot be read.
    """
    from hfvae_runner.runs.assembly import check

    check(config)


def run(job: Job | None, folder: Path) -> None:
    """Train and measure a run, or measure a finished run again; a job of None leaves the folder unchanged."""
    if job is None:
        tell(f"{folder}: finished, left as it is; raise steps (or epochs, where steps is null) to extend it")
        return
    if job.measures_only:
        from hfvae_runner.runs.single import measure_again

        tell(f"{folder}: finished, measured again")
        measure_again(job.config, folder)
    else:
        from hfvae_runner.runs.single import run

        run(job.config, folder)


def task(config: DictConfig) -> float | None:
    """Run one job; Hydra calls this function in the job's process.

    Returns:
        The value of ``optimized_metric`` for a sweeper that searches, or None.

    Raises:
        Stopped: a single run ended with an exception, which is the cause.
        JobFailed: a job of a sweep ended with an exception; Hydra continues with the other jobs.
        JobEnded: a job in a process of its own ended with SystemExit.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    # Hydra prints its own lines about the exception of a single run, and ends a whole sweep on SystemExit.
    if hydra.mode == RunMode.RUN:
        try:
            job = prepare(config, folder)
            tell_of_threads(job, config, folder)
            run(job, folder)
        except Exception as error:
            raise Stopped from error
        return None
    ending = _telling_of_its_end(hydra.job.num, folder)
    with _process_of_the_job(folder) as place, ending, quietly(), of_a_sweep(config, folder):
        job = prepare(config, folder)
        tell_of_threads(job, config, folder)
        if job is not None and place is not None:
            job = replace(job, config=_beside_others(job.config, place))
        run(job, folder)
        return optimized(config, folder)


def tell_of_its_end(number: int, folder: Path) -> None:
    """Print the line of a job of a sweep that has ended."""
    leader = lease.leader()
    tell(sweep_lines.ended(number, folder, None if leader is None else leader.tally))


@contextmanager
def _telling_of_its_end(number: int, folder: Path) -> Iterator[None]:
    """Print the job's line when the block ends, unless a signal has ended it."""
    try:
        yield
    except JobFailed:
        tell_of_its_end(number, folder)
        raise
    tell_of_its_end(number, folder)


@contextmanager
def of_a_sweep(config: DictConfig, folder: Path) -> Iterator[None]:
    """Print an exception raised in the block, and record it in the job's status.json.

    Raises:
        JobFailed: the block raised an exception.
        SystemExit: in a search, ``optimized_metric`` names a metric that no job has.
    """
    try:
        yield
    except search.NoSuchMetric as error:
        exit_code = _record_failure(error, folder, debug=config.get("debug") is True)
        # The other jobs of a search lack the metric too; the jobs of a grid are useful without it.
        raise (JobFailed if plugins.is_grid(HydraConfig.get()) else SystemExit)(exit_code) from error
    except Exception as error:
        told = error
        if plugins.is_of_a_launcher(error):  # such as submitit's, for a job that has been out of time too often
            told = ProcessLost(f"{one_line(str(error)).rstrip('.')}; resume=auto resumes the run")
        raise JobFailed(_record_failure(told, folder, debug=config.get("debug") is True)) from error


def optimized(config: DictConfig, folder: Path) -> float | None:
    """Return the value of ``optimized_metric`` of a finished job; None if ``optimized_metric`` is null."""
    path = config.optimized_metric
    return None if path is None else search.optimized(folder, path)


@contextmanager
def _process_of_the_job(folder: Path) -> Iterator[int | None]:
    """Yield the place of a process that does not lead the sweep, else None.

    Raises:
        JobEnded: the job was ended.
        SystemExit: the job was ended and submitted again.
    """
    if lease.leader() is not None:
        yield None
        return
    try:
        with lease.following() as place:
            yield place
    except (SystemExit, KeyboardInterrupt) as end:
        if isinstance(end, SystemExit) and end.code == _SUBMITTED_AGAIN:
            raise
        if not any(folder.iterdir()):  # Hydra created it for a job that did not start
            folder.rmdir()
        raise JobEnded(int(end.code or 0) if isinstance(end, SystemExit) else 128 + signal.SIGINT) from end


def _beside_others(config: Config, place: int) -> Config:
    """Return the config of one of several simultaneous jobs, without a progress bar; set the process's own GPU."""
    if config.device == "auto":
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_device(plugins.device_index(place, torch.cuda.device_count()))
    return replace(config, train=replace(config.train, progress=False))


def report(error: RunnerError, debug: bool) -> int:
    """Print the error in one line, after its traceback if ``debug``, and return its exit code."""
    if debug:
        traceback.print_exception(error)
    tell(f"error: {one_line(str(error))}")
    return error.exit_code


def tell(line: str) -> None:
    print(spelt_out(line), file=sys.stderr, flush=True)


def _record_failure(error: Exception, folder: Path, debug: bool) -> int:
    if isinstance(error, RunnerError):
        exit_code, reason = report(error, debug), one_line(str(error))
    else:
        traceback.print_exception(error)
        exit_code, reason = EXIT_BUG, one_line(f"{type(error).__name__}: {error}")
    # Neither the status of a finished run nor of a run in another process is changed.
    if not isinstance(error, FolderInUse) and run_folder.inspect(folder) != "finished":
        run_folder.write_status(folder, "diverged" if isinstance(error, Diverged) else "failed", reason, exit_code)
    return exit_code
