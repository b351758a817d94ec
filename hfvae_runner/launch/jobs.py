"""One job: from its composed config to a run that is done, refused or failed."""

import sys
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from hfvae_runner import record, schema
from hfvae_runner.errors import ConfigError, Diverged, RunnerError
from hfvae_runner.launch import resume
from hfvae_runner.launch.composition import one_line, resolve
from hfvae_runner.schema import RESUME_AUTO, Config

EXIT_BUG = 1


class JobFailed(Exception):
    """A job of a sweep failed after the sweep had started; its message is printed and in its folder's status.json.

    Its one argument, the exit code, lets it survive pickling between the processes of a sweep.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Stopped(SystemExit):
    """Carries its cause out through Hydra, which swallows or rephrases an ordinary exception."""


def prepare(config: DictConfig, folder: Path) -> Config | None:
    """The checked config of a job in this folder, or None where the folder already holds the finished run.

    Raises:
        ConfigError: the config is not usable, or not in this folder.
        CheckpointError: the folder cannot be used.
    """
    job = schema.parse(resolve(config))
    if job.resume not in (None, RESUME_AUTO):
        raise ConfigError(f"resume={job.resume}: expected {RESUME_AUTO} in a sweep, or resume=FOLDER for a single run")
    return resume.standing_job(job, folder)


def check(job: Config) -> None:
    """Checks what needs torch: classes and their arguments, pairings, data, device. Raises ConfigError or DataError."""
    from hfvae_runner.build import check

    check(job)


def run(job: Config | None, folder: Path) -> None:
    """Trains and evaluates; None, a finished run, is left alone."""
    if job is None:
        tell(f"{folder}: finished, left as it is; raise steps (or epochs, where steps is null) to extend it")
        return
    from hfvae_runner.build import run

    run(job, folder)


def task(config: DictConfig) -> None:
    """What Hydra calls for each job, in the job's process.

    Raises:
        Stopped: a single run ended with an exception, its cause.
        JobFailed: a job of a sweep did; an ordinary exception, so that Hydra goes on with the other jobs.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    # Hydra adds lines of its own to the exception of a single run, and ends a whole sweep on SystemExit.
    if hydra.mode == RunMode.RUN:
        try:
            run(prepare(config, folder), folder)
        except Exception as error:
            raise Stopped from error
        return
    tell(f"job {hydra.job.num}: {folder}")
    try:
        run(prepare(config, folder), folder)
    except Exception as error:
        raise JobFailed(_record_failure(error, folder, debug=config.get("debug") is True)) from error


def report(error: RunnerError, debug: bool) -> int:
    """Prints the error's one line, below its traceback where asked for; returns its exit code."""
    if debug:
        traceback.print_exception(error)
    tell(f"error: {one_line(str(error))}")
    return error.exit_code


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _record_failure(error: Exception, folder: Path, debug: bool) -> int:
    if isinstance(error, RunnerError):
        exit_code, reason = report(error, debug), one_line(str(error))
    else:
        traceback.print_exception(error)
        exit_code, reason = EXIT_BUG, one_line(f"{type(error).__name__}: {error}")
    if record.inspect(folder) != "finished":  # a finished run that cannot be extended stays a finished run
        record.write_status(folder, "diverged" if isinstance(error, Diverged) else "failed", reason, exit_code)
    return exit_code
