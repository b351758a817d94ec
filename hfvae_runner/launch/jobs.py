"""One job of Hydra's: checks its composed config, runs it, and reports errors."""

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
from hfvae_runner.launch import lease, plugins, resume, search
from hfvae_runner.launch.composition import one_line, resolve
from hfvae_runner.launch.resume import Job
from hfvae_runner.storage import run_folder

EXIT_BUG = 1


class JobFailed(Exception):
    """A job of a sweep failed after the sweep had started; its message is printed and in its folder's status.json.

    Its one argument, the exit code, lets it survive pickling between the processes of a sweep.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        # Made again in the sweep's process, where it comes in from another: a sweeper that searches tells nobody of it.
        if (leader := lease.leader()) is not None:
            leader.note_failure(exit_code)


class JobEnded(Exception):
    """A job in a process of its own ended with SystemExit, which would end that process and lose the other jobs.

    Its one argument is the exit code. ``Gate.on_job_end`` makes a SystemExit of it again, in the sweep's process.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class ProcessLost(RunnerError):
    """The process of a job died, and the sweep with it."""

    exit_code = EXIT_BUG


class Stopped(SystemExit):
    """Carries its cause out through Hydra, which swallows or rephrases an ordinary exception."""


def parse(config: DictConfig) -> Config:
    """The checked config of a job, whatever stands in its folder. Raises ConfigError where it is not usable."""
    resolved = resolve(config)
    hydra = HydraConfig.get()
    # A search comes back to values that it has tried, and wants their result.
    if hydra.mode != RunMode.RUN and not plugins.is_grid(hydra) and resolved.get("resume") is None:
        resolved["resume"] = RESUME_AUTO
    job = schema.parse(resolved)
    if job.resume not in (None, RESUME_AUTO):
        raise ConfigError(f"resume={job.resume}: expected {RESUME_AUTO} in a sweep, or resume=FOLDER for a single run")
    return job


def tell_of_threads(job: Job | None, config: DictConfig, folder: Path) -> None:
    """Warn where a run is resumed with another number of threads than is asked for."""
    if job is not None and job.config.threads != config.threads:
        tell(f"{folder}: resumed with its own threads={'null' if job.config.threads is None else job.config.threads}")


def prepare(config: DictConfig, folder: Path) -> Job | None:
    """The checked job in this folder, or None where the folder already holds what is asked for.

    Raises:
        ConfigError: the config is not usable, or not in this folder.
        CheckpointError: the folder cannot be used.
    """
    return resume.standing_job(parse(config), folder)


def check(config: Config) -> None:
    """Checks what needs torch: classes and their arguments, pairings, data, device. Raises ConfigError or DataError."""
    from hfvae_runner.runs.assembly import check

    check(config)


def run(job: Job | None, folder: Path) -> None:
    """Trains and measures a run, or measures a finished one again; None leaves the folder alone."""
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
    """What Hydra calls for each job, in the job's process.

    Returns:
        What ``optimized_metric`` names, for a sweeper that searches.

    Raises:
        Stopped: a single run ended with an exception, its cause.
        JobFailed: a job of a sweep did; an ordinary exception, so that Hydra goes on with the other jobs.
        JobEnded: a job in a process of its own ended with SystemExit.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    # Hydra adds lines of its own to the exception of a single run, and ends a whole sweep on SystemExit.
    if hydra.mode == RunMode.RUN:
        try:
            job = prepare(config, folder)
            tell_of_threads(job, config, folder)
            run(job, folder)
        except Exception as error:
            raise Stopped from error
        return None
    with _process_of_the_job(folder) as place:
        tell(f"job {hydra.job.num}: {folder}")
        with of_a_sweep(config, folder):
            job = prepare(config, folder)
            tell_of_threads(job, config, folder)
            if job is not None and place is not None:
                job = replace(job, config=_beside_others(job.config, place))
            run(job, folder)
            return optimized(config, folder)


@contextmanager
def of_a_sweep(config: DictConfig, folder: Path) -> Iterator[None]:
    """What goes wrong in the block is told, and recorded in the job's folder.

    Raises:
        JobFailed: something did.
        SystemExit: a search goes by a metric that no job will have.
    """
    try:
        yield
    except search.NoSuchMetric as error:
        exit_code = _record_failure(error, folder, debug=config.get("debug") is True)
        # The other jobs of a search would lack it as well; those of a grid are wanted all the same.
        raise (JobFailed if plugins.is_grid(HydraConfig.get()) else SystemExit)(exit_code) from error
    except Exception as error:
        raise JobFailed(_record_failure(error, folder, debug=config.get("debug") is True)) from error


def optimized(config: DictConfig, folder: Path) -> float | None:
    """What ``optimized_metric`` names, of a job that has finished; None where it names nothing."""
    path = config.optimized_metric
    return None if path is None else search.optimized(folder, path)


@contextmanager
def _process_of_the_job(folder: Path) -> Iterator[int | None]:
    """Gives the place of a process that does not lead the sweep; raises JobEnded where the job there was ended."""
    if lease.leader() is not None:
        yield None
        return
    try:
        with lease.following() as place:
            yield place
    except (SystemExit, KeyboardInterrupt) as end:
        if not any(folder.iterdir()):  # Hydra made it for a job that did not start
            folder.rmdir()
        raise JobEnded(int(end.code or 0) if isinstance(end, SystemExit) else 128 + signal.SIGINT) from end


def _beside_others(config: Config, place: int) -> Config:
    """The config of one of several jobs at once: on its own GPU, and without a bar on the terminal that they share."""
    if config.device == "auto":
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_device(plugins.device_index(place, torch.cuda.device_count()))
    return replace(config, train=replace(config.train, progress=False))


def report(error: RunnerError, debug: bool) -> int:
    """Prints the error's one line, below its traceback where asked for; returns its exit code."""
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
    # A finished run that cannot be extended stays a finished run, and another process's run is its own.
    if not isinstance(error, FolderInUse) and run_folder.inspect(folder) != "finished":
        run_folder.write_status(folder, "diverged" if isinstance(error, Diverged) else "failed", reason, exit_code)
    return exit_code
