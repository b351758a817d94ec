"""The launcher ``hydra/launcher=stacked``, in the only place where Hydra searches for launchers.

The implementation is in ``hfvae_runner.launch.stacking``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class StackedConf:
    """The launcher's options.

    Attributes:
        size: the largest number of jobs that are trained as one program; null: as many as fit into the device's memory.
    """

    _target_: str = "hydra_plugins.hfvae_stacked.launcher.StackedLauncher"
    size: int | None = None


ConfigStore.instance().store(group="hydra/launcher", name="stacked", node=StackedConf, provider="hfvae_runner")


class StackedLauncher(Launcher):
    """A Hydra launcher that trains jobs in stacks; see ``hfvae_runner.launch.stacking``."""

    def __init__(self, size: int | None = None) -> None:
        super().__init__()
        self._size = size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        # Late, since Hydra imports every plugin at each start.
        from hfvae_runner.launch.stacking import Launch

        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        return Launch(self._context, self._task, self._config, self._size).run(job_overrides, initial_job_idx)
