"""Hydra's launchers and sweepers: which extra brings each, and where and how a launcher's jobs run."""

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
    """What a choice of launcher or sweeper needs.

    Attributes:
        extra: of this package, which brings it.
        package: below hydra_plugins.
        values: of its options, where its own do not fit; whatever is given comes after them.
    """

    extra: str
    package: str
    values: tuple[str, ...] = ()


# submitit unpickles what it finds in its folder under a job's number: nobody can have put anything there before.
_SUBMITIT_FOLDER = f"hydra.launcher.submitit_folder='${{hydra.sweep.dir}}/.submitit/{secrets.token_hex(8)}/%j'"

_PLUGINS = {
    # One job at a time for a process: auto would leave many to one of them, once finished jobs were skipped in no time.
    "hydra/launcher=joblib": _Plugin("joblib", "hydra_joblib_launcher", ("hydra.launcher.batch_size=1",)),
    # In minutes: after its hour a job would be killed.
    "hydra/launcher=submitit_local": _Plugin(
        "submitit", "hydra_submitit_launcher", ("hydra.launcher.timeout_min=43200", _SUBMITIT_FOLDER)
    ),
    "hydra/launcher=submitit_slurm": _Plugin("submitit", "hydra_submitit_launcher", (_SUBMITIT_FOLDER,)),
    "hydra/launcher=ray": _Plugin("ray", "hydra_ray_launcher"),
    # Each trial knows of those before it, and one that diverges does not end the search.
    "hydra/sweeper=optuna": _Plugin(
        "optuna", "hydra_optuna_sweeper", ("hydra.sweeper.n_jobs=1", "hydra.sweeper.max_failure_rate=1")
    ),
}
_JOBLIB, _SUBMITIT_LOCAL, _RAY = "JoblibLauncher", "LocalLauncher", "RayLauncher"
_STACKED = "StackedLauncher"
_OBJECT_STORE = 75 * 2**20  # bytes, Ray's least
_HOST_AND_PORT = re.compile(r"([^/:]+):(\d+)")
_SECONDS_TO_CONNECT = 5


def prescribed(overrides: Sequence[Override]) -> list[str]:
    """The overrides that the chosen launcher and sweeper need before all others.

    Raises ConfigError where one of them is not installed.
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
    """Whether all jobs of a sweep are known before the first; else the sweeper chooses values as it goes.

    Args:
        hydra: the config's own node of Hydra.
    """
    return _class(hydra.sweeper) == BasicSweeper.__name__


def place(hydra: DictConfig) -> Literal["here", "beside", "elsewhere"]:
    """Where the launcher runs the jobs: in this process, in others of this machine, or wherever a cluster has room."""
    name = _class(hydra.launcher)
    if name in (BasicLauncher.__name__, _STACKED) or (name == _JOBLIB and _joblib_processes(hydra.launcher) == 1):
        return "here"
    of_this_machine = name in (_JOBLIB, _SUBMITIT_LOCAL) or (name == _RAY and _ray_address(hydra.launcher) is None)
    return "beside" if of_this_machine else "elsewhere"


def check(hydra: DictConfig) -> None:
    """Raises ConfigError where the launcher has an option that it cannot use."""
    size = hydra.launcher.size if _class(hydra.launcher) == _STACKED else None
    if size is not None and size < 2:
        raise ConfigError(f"hydra.launcher.size={size}: expected a whole number from 2 on, or null")


def threads(hydra: DictConfig, jobs: int) -> int | None:
    """The share of this machine's cores for each of the jobs that run at once; None where the launcher sees to it.

    Args:
        hydra: the config's own node of Hydra.
        jobs: that are launched together.
    """
    name = _class(hydra.launcher)
    if name == _JOBLIB:
        jobs = min(jobs, _joblib_processes(hydra.launcher))
    elif name != _SUBMITIT_LOCAL:
        return None
    return max(1, _cores() // max(1, jobs))


def start(hydra: DictConfig) -> None:
    """Starts what the launcher would start later: Ray, without its own handler for SIGTERM.

    Raises ConfigError where there is no cluster at the address that is given.
    """
    if _class(hydra.launcher) != _RAY:
        return
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    init = OmegaConf.to_container(hydra.launcher.ray.init, resolve=True)
    assert isinstance(init, dict)
    given = {str(key): value for key, value in init.items() if value is not None}
    # Without an address Ray would look for a cluster that happens to run here. The store holds no data of ours.
    of_our_own = {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    address = _ray_address(hydra.launcher)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if address is not None and (found := _HOST_AND_PORT.fullmatch(address)):
            # Ray would try for minutes.
            socket.create_connection((found[1], int(found[2])), timeout=_SECONDS_TO_CONNECT).close()
        ray.init(**(of_our_own | given if address is None else given))
    except OSError as error:
        problem = f"hydra.launcher.ray.init.address={address}: no Ray cluster there ({one_line(str(error))})"
        raise ConfigError(f"{problem}; expected one that runs, or null to start one here") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def is_of_a_launcher(error: Exception) -> bool:
    """Whether a launcher's library raised it, as they do when a process dies."""
    return type(error).__module__.partition(".")[0] in ("joblib", "submitit", "ray")


def device_index(place: int, devices: int) -> int:
    """The CUDA device for the job with this place among those that run at once: one after the other, then again."""
    return place % devices


def _class(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def _joblib_processes(launcher: DictConfig) -> int:
    from joblib import effective_n_jobs

    return int(effective_n_jobs(int(launcher.n_jobs)))


def _ray_address(launcher: DictConfig) -> str | None:
    """Of a cluster that is running; None for one that is to be started on this machine."""
    address = launcher.ray.init.get("address") or os.environ.get("RAY_ADDRESS")
    return None if address in (None, "local") else str(address)


def _cores() -> int:
    from joblib import cpu_count  # knows of affinities and of a container's share

    return int(cpu_count())
