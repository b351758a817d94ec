"""What the tests of the command line share: configs composed as Hydra does, and a build that trains nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import hydra
import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.launch import main
from hfvae_runner.launch.composition import CONFIG_NAME, VERSION_BASE, config_folder, resolve
from hfvae_runner.storage import run_folder


class FakeBuild(ModuleType):
    """Stands in for build and lifecycle: remembers what it was asked for, and leaves the files of a finished run.

    Attributes:
        checked: the configs of every check.
        ran: the config and folder of every run.
        measured: the config and folder of every finished run that was measured again.
        on_check, on_run: called with the config first; may raise.
    """

    def __init__(self) -> None:
        super().__init__("hfvae_runner.runs.assembly")
        self.checked: list[Config] = []
        self.ran: list[tuple[Config, Path]] = []
        self.measured: list[tuple[Config, Path]] = []
        self.on_check: Callable[[Config], None] = lambda config: None
        self.on_run: Callable[[Config], None] = lambda config: None

    def check(self, config: Config) -> None:
        self.checked.append(config)
        self.on_check(config)

    def measure_again(self, config: Config, folder: Path) -> None:
        self.measured.append((config, folder))

    def run(self, config: Config, folder: Path) -> dict[str, object]:
        self.ran.append((config, folder))
        self.on_run(config)
        leave_run(folder, dict(config.resolved), finished=True)
        return {}


def leave_run(folder: Path, resolved: dict[str, object], *, finished: bool) -> None:
    """A run folder with a checkpoint and, where the run has finished, its results."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints" / run_folder.LAST).touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(resolved))
    if finished:
        metrics = {"schema": run_folder.SCHEMA, "measured": schema.parse(resolved).metrics.options}
        (folder / "metrics.json").write_text(json.dumps(metrics))


def compose(*overrides: str) -> DictConfig:
    """The config of a command line, with Hydra's node set up so that interpolations into it resolve."""
    with hydra.initialize_config_dir(str(config_folder()), version_base=VERSION_BASE):
        config = hydra.compose(CONFIG_NAME, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config


def resolved(*overrides: str) -> dict[str, object]:
    """The plain dict that such a run's config.yaml holds."""
    return resolve(compose(*overrides))


def refused(capsys: pytest.CaptureFixture[str], *argv: str, exit_code: int = 2) -> str:
    """The one line of an error."""
    assert main(argv) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    return lines[0]


def fails(error: BaseException) -> Callable[[Config], None]:
    """A hook that raises."""

    def hook(config: Config) -> None:
        raise error

    return hook
