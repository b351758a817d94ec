"""The gate: every config of a run or a sweep is checked before Hydra makes the first folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import jobs
from hfvae_runner.launch.composition import explain, parse_overrides
from hfvae_runner.launch.jobs import Stopped
from hfvae_runner.schema import Config


class Gate(Callback):
    """Named in conf/config.yaml as a Hydra callback.

    Raises Stopped, a SystemExit, with whatever went wrong as its cause: Hydra would turn an exception of a callback
    into a warning and train all the same.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks a single run."""
        try:
            HydraConfig.instance().set_config(config)
            job = jobs.prepare(config, _folder(config, "hydra.run.dir"))
            if job is not None:
                jobs.check(job)
        except Exception as error:
            raise Stopped from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks each job of a sweep: first all of them without torch, then with it."""
        try:
            prepared = _prepare_all(config)
            for label, job in prepared:
                with _Labelled(label):
                    jobs.check(job)
        except Exception as error:
            raise Stopped from error


class _Labelled:
    """Puts the job in front of the message of an error that is raised inside."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RunnerError):
            raise type(error)(f"{self._label}: {error}") from error


def _prepare_all(master: DictConfig) -> list[tuple[str, Config]]:
    """Every job that has something to do, with a label that tells it from the others."""
    prepared: list[tuple[str, Config]] = []
    folders: dict[Path, str] = {}
    try:
        for number, overrides in enumerate(_grid(master)):
            label = f"job {number} ({' '.join(overrides)})" if overrides else f"job {number}"
            with _Labelled(label):
                config = _compose(master, overrides, number)
                folder = _folder(config, "hydra.sweep.dir") / _folder(config, "hydra.sweep.subdir")
                if folder in folders:
                    raise ConfigError(f"its run folder {folder} is that of {folders[folder]}; expected one each")
                folders[folder] = label
                job = jobs.prepare(config, folder)
            if job is not None:
                prepared.append((label, job))
    finally:
        HydraConfig.instance().set_config(master)
    return prepared


def _grid(master: DictConfig) -> Sequence[Sequence[str]]:
    """The overrides of each job; none for a sweeper that chooses the values as it goes."""
    if not str(master.hydra.sweeper["_target_"]).endswith(BasicSweeper.__name__):
        return []
    fixed = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
    overrides = parse_overrides([*fixed, *master.hydra.overrides.task])
    try:
        return BasicSweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise ConfigError(explain(error, [])) from error


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
