"""Hydra's launchers and sweepers: the extra that installs each, and where and how a launcher's jobs run."""

import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.conf import HydraConf
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from hfvae_runner.errors import ConfigError
from hfvae_runner.launch.composition import one_line


@dataclass(frozen=True)
class _Plugin:
    """The requirements of a choice of launcher or sweeper.

    Attributes:
        extra: the extra of this package that installs it.
        package: its package in hydra_plugins.
        values: overrides of its defaults that do not fit; the user's own overrides follow them.
    """

    extra: str
    package: str
    values: tuple[str, ...] = ()


# submitit unpickles files that it finds in its folder under a job's number; in a folder with a random name, nobody can
# have put a file before.
_SUBMITIT_FOLDER = f"hydra.launcher.submitit_folder='${{hydra.sweep.dir}}/.submitit/{secrets.token_hex(8)}/%j'"

_PLUGINS = {
    # One job per batch: with auto, fast skips of finished jobs would lead to large batches for one process.
    "hydra/launcher=joblib": _Plugin("joblib", "hydra_joblib_launcher", ("hydra.launcher.batch_size=1",)),
    # In minutes; the plugin's default would kill a job after an hour.
    "hydra/launcher=submitit_local": _Plugin(
        "submitit", "hydra_submitit_launcher", ("hydra.launcher.timeout_min=43200", _SUBMITIT_FOLDER)
    ),
    "hydra/launcher=submitit_slurm": _Plugin("submitit", "hydra_submitit_launcher", (_SUBMITIT_FOLDER,)),
    "hydra/launcher=ray": _Plugin("ray", "hydra_ray_launcher"),
    # Each trial uses the results of all earlier ones, and a trial that diverges does not end the search.
    "hydra/sweeper=optuna": _Plugin(
        "optuna", "hydra_optuna_sweeper", ("hydra.sweeper.n_jobs=1", "hydra.sweeper.max_failure_rate=1")
    ),
}
_JOBLIB, _SUBMITIT_LOCAL, _SLURM, _RAY = "JoblibLauncher", "LocalLauncher", "SlurmLauncher", "RayLauncher"
_STACKED = "StackedLauncher"
_GRID = "GridSweeper"
_OBJECT_STORE = 75 * 2**20  # bytes, Ray's minimum
_HOST_AND_PORT = re.compile(r"([^/:]+):(\d+)")
_SECONDS_TO_CONNECT = 5


def prescribed(overrides: Sequence[Override]) -> list[str]:
    """Return the overrides that the chosen launcher and sweeper need before all others.

    Raises:
        ConfigError: the launcher or the sweeper is not installed.
    """
    values: list[str] = []
    for override in overrides:
        given = str(override.input_line).lstrip("+")
        if (plugin := _PLUGINS.get(given)) is not None:
            if find_spec("hydra_plugins") is None or find_spec(f"hydra_plugins.{plugin.package}") is None:
                raise ConfigError(
                    f'{given} is not installed; expected pip install "hfvae_runner[{plugin.extra}]" before'
                )
            values += plugin.values
    return values


def is_grid(hydra: DictConfig | HydraConf) -> bool:
    """Return whether all jobs of a sweep are known before the first; else the sweeper chooses values during the sweep.

    Args:
        hydra: Hydra's own node of the config.
    """
    return _class(hydra.sweeper) in (_GRID, BasicSweeper.__name__)


def place(hydra: DictConfig) -> Literal["here", "beside", "elsewhere"]:
    """Return where the launcher runs the jobs: in this process, in others of this machine, or on a cluster."""
    name = _class(hydra.launcher)
    if name in (BasicLauncher.__name__, _STACKED) or (name == _JOBLIB and _joblib_processes(hydra.launcher) == 1):
        return "here"
    of_this_machine = name in (_JOBLIB, _SUBMITIT_LOCAL) or (name == _RAY and _ray_address(hydra.launcher) is None)
    return "beside" if of_this_machine else "elsewhere"


def check(hydra: DictConfig) -> None:
    """Raise ConfigError if an option of the launcher is invalid."""
    size = hydra.launcher.size if _class(hydra.launcher) == _STACKED else None
    if size is not None and size < 2:
        raise ConfigError(f"hydra.launcher.size={size}: expected a whole number from 2 on, or null")


def threads(hydra: DictConfig, jobs: int) -> int | None:
    """Return the number of cores for each of the jobs that run at once; None if the launcher sets it.

    Args:
        hydra: Hydra's own node of the config.
        jobs: the number of jobs that are launched together.
    """
    name = _class(hydra.launcher)
    if name == _JOBLIB:
        jobs = min(jobs, _joblib_processes(hydra.launcher))
    elif name != _SUBMITIT_LOCAL:
        return None
    return max(1, _cores() // max(1, jobs))


def start(hydra: DictConfig) -> None:
    """Prepare the launcher's library.

    Ray is started, without its own handler for SIGTERM; the launcher would start it later. submitit is told how to
    follow the jobs of a Slurm without accounting.

    Raises:
        ConfigError: there is no cluster at the given address.
    """
    if _class(hydra.launcher) == _SLURM:
        from hfvae_runner.launch.slurm import follow_without_accounting

        follow_without_accounting()
    if _class(hydra.launcher) != _RAY:
        return
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    init = OmegaConf.to_container(hydra.launcher.ray.init, resolve=True)
    assert isinstance(init, dict)
    given = {str(key): value for key, value in init.items() if value is not None}
    # Without an address Ray would join any cluster that runs on this machine. We store no data in its object store.
    of_our_own = {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    address = _ray_address(hydra.launcher)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if address is not None and (found := _HOST_AND_PORT.fullmatch(address)):
            # Ray itself would retry for minutes.
            socket.create_connection((found[1], int(found[2])), timeout=_SECONDS_TO_CONNECT).close()
        ray.init(**(of_our_own | given if address is None else given))
    except OSError as error:
        problem = f"hydra.launcher.ray.init.address={address}: no Ray cluster there ({one_line(str(error))})"
        raise ConfigError(f"{problem}; expected one that runs, or null to start one here") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def is_of_a_launcher(error: Exception) -> bool:
    """Return whether a launcher's library raised the error, as it does when a process dies."""
    return type(error).__module__.partition(".")[0] in ("joblib", "submitit", "ray")


def device_index(place: int, devices: int) -> int:
    """Return the CUDA device for the job with this place among those that run at once, in turn over all devices."""
    return place % devices


def _class(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def _joblib_processes(launcher: DictConfig) -> int:
    from joblib import effective_n_jobs

    return int(effective_n_jobs(int(launcher.n_jobs)))


def _ray_address(launcher: DictConfig) -> str | None:
    """Return the address of a running cluster; None if one is to be started on this machine."""
    address = launcher.ray.init.get("address") or os.environ.get("RAY_ADDRESS")
    return None if address in (None, "local") else str(address)


def _cores() -> int:
    from joblib import cpu_count  # considers affinities and a container's limit

    return int(cpu_count())
