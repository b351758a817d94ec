"""Checks every config of a run or a sweep before Hydra creates the first folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hfvae_runner.config.schema import Config
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import jobs, lease, plugins, search, sweep_lines
from hfvae_runner.launch.composition import explain, parse_overrides
from hfvae_runner.launch.jobs import JobEnded, Stopped
from hfvae_runner.launch.sweep_lines import Tally


class Gate(Callback):
    """The Hydra callback that conf/config.yaml names.

    Its methods raise Stopped, a SystemExit, with the error as its cause, since Hydra turns an ordinary exception of a
    callback into a warning and starts the training.
    """

    _folders: Sequence[Path] = ()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check a single run."""
        try:
            HydraConfig.instance().set_config(config)
            job = jobs.prepare(config, _folder(config, "hydra.run.dir"))
            if job is not None:
                jobs.check(job.config)
        except Exception as error:
            raise Stopped from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check each job of a sweep, first all of them without torch, then all of them with it."""
        try:
            plugins.check(config.hydra)
            prepared, self._folders = _prepare_all(config)
            for label, job in prepared:
                with _Labelled(label):
                    jobs.check(job)
            _make_ready(config.hydra, len(prepared), len(self._folders))
        except Exception as error:
            raise Stopped from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Make a job that was ended end the sweep, after the launcher has returned all jobs."""
        # The private attribute, since the property ``return_value`` would raise the exception.
        if isinstance(job_return._return_value, JobEnded):
            job_return.return_value = SystemExit(job_return._return_value.exit_code)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print a summary of the grid, or the result of a search."""
        home = _folder(config, "hydra.sweep.dir")
        if plugins.is_grid(config.hydra):
            lines = sweep_lines.summary(self._folders, home)
        else:
            best = search.best(home)
            lines = [] if best is None else [best]
        for line in lines:
            jobs.tell(line)


class _Labelled:
    """A context that puts the job's label before the message of a RunnerError raised inside."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RunnerError):
            raise type(error)(f"{self._label}: {error}") from error


def _make_ready(hydra: DictConfig, prepared: int, jobs_in_all: int) -> None:
    """Make this process the leader of jobs in other processes, if the launcher starts any; else count its own jobs."""
    leader, place = lease.leader(), plugins.place(hydra)
    if leader is None:
        return
    if place == "here":
        leader.tally = Tally(jobs_in_all) if jobs_in_all else None
        return
    if place == "beside":
        leader.hold(plugins.threads(hydra, prepared if plugins.is_grid(hydra) else hydra.sweeper.get("n_jobs", 1)))
    plugins.start(hydra)  # after `hold`, so that the processes that it starts belong to the sweep
    leader.listen()


def _prepare_all(master: DictConfig) -> tuple[list[tuple[str, Config]], Sequence[Path]]:
    """Return a label and the config of every job with work left, and the folders of all jobs.

    For a search, these are some sample jobs, and no folders.
    """
    given = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
    overrides = parse_overrides([*given, *master.hydra.overrides.task])
    try:
        return _grid(master, overrides) if plugins.is_grid(master.hydra) else (_samples(master, overrides), ())
    finally:
        HydraConfig.instance().set_config(master)


def _grid(master: DictConfig, overrides: Sequence[Override]) -> tuple[list[tuple[str, Config]], Sequence[Path]]:
    batch = master.hydra.sweeper.max_batch_size
    if batch is not None:
        raise ConfigError(f"hydra.sweeper.max_batch_size={batch}: a failed job would end the sweep; expected null")
    try:
        grid = BasicSweeper.split_arguments(list(overrides), None)[0]
    except HydraException as error:
        raise ConfigError(explain(error, [])) from error
    prepared: list[tuple[str, Config]] = []
    folders: dict[Path, str] = {}
    for number, own in enumerate(grid):
        label = f"job {number} ({' '.join(own)})" if own else f"job {number}"
        with _Labelled(label):
            config = _compose(master, own, number)
            folder = _folder(config, "hydra.sweep.dir") / _folder(config, "hydra.sweep.subdir")
            if folder in folders:
                raise ConfigError(f"its run folder {folder} is that of {folders[folder]}; expected one each")
            folders[folder] = label
            job = jobs.prepare(config, folder)
        if job is not None:
            prepared.append((label, job.config))
    return prepared, list(folders)


def _samples(master: DictConfig, overrides: Sequence[Override]) -> list[tuple[str, Config]]:
    prepared: list[tuple[str, Config]] = []
    for own in search.samples(overrides):
        label = f"a job of the search ({' '.join(own)})"
        with _Labelled(label):
            job = jobs.parse(_compose(master, own, 0))
        if not prepared:
            search.check(master.hydra, job.optimized_metric)
        prepared.append((label, job))
    return prepared


def _compose(master: DictConfig, overrides: Sequence[str], number: int) -> DictConfig:
    loader = GlobalHydra.instance().config_loader()
    try:
        config = loader.load_sweep_config(master, list(overrides))
    except (HydraException, ValueError) as error:
        raise ConfigError(explain(error, overrides)) from error
    with open_dict(config):
        config.hydra.job.id = str(number)
        config.hydra.job.num = number
    HydraConfig.instance().set_config(config)
    return config


def _folder(config: DictConfig, key: str) -> Path:
    try:
        return Path(str(OmegaConf.select(config, key, throw_on_missing=True)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {explain(error, [])}") from error
