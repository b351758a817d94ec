"""The sweeper ``hydra/sweeper=grid``, the default, in the only place where Hydra searches for sweepers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf


@dataclass
class GridConf(BasicSweeperConf):
    """The options of Hydra's own sweeper over grids."""

    _target_: str = "hydra_plugins.hfvae_grid.sweeper.GridSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridConf, provider="hfvae_runner")


class GridSweeper(BasicSweeper):
    """A grid of jobs that ``hfvae_runner.launch.gate`` has already composed and checked.

    Hydra's own sweeper would compose every job once more, which takes a third of a second each. If a job fails, it
    would print the job's overrides, and leave out the summary at the end of the sweep.
    """

    def sweep(self, arguments: list[str]) -> Sequence[Sequence[JobReturn]]:
        """Launch all jobs, and raise the exception of the first that failed after the summary."""
        assert self.config is not None and self.launcher is not None and self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given: Any = self._parse_config()
        (jobs,) = self.split_arguments(parser.parse_overrides([*given, *arguments]), None)
        place = Path(self.config.hydra.sweep.dir)
        place.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, place / "multirun.yaml")
        returned: Sequence[JobReturn] = self.launcher.launch(jobs, initial_job_idx=0)
        for each in returned:
            if each.status != JobStatus.COMPLETED:
                self.hydra_context.callbacks.on_multirun_end(config=self.config, config_name=None)
                # The private attribute, since the property would print the job's overrides.
                raise each._return_value
        return [returned]
