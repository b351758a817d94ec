"""The five papers' main settings, each a config of an experiment, and the data for their measurement."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_cost import published

from _bench.data_files import write_idx
from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.launch.composition import composed, quoted


@dataclass(frozen=True)
class Setting:
    """One paper's setting.

    Attributes:
        title: its name in the table.
        experiment: its name on the command line.
        overrides: the benchmark's changes to the experiment.
        steps: the number of steps per turn, whose time is well above the clock's and the scheduler's resolution.
    """

    title: str
    experiment: str
    steps: int
    overrides: tuple[str, ...] = ()


SETTINGS = {
    setting.experiment: setting
    for setting in (
        Setting("HFVAE MNIST, MLP, B=512", "hfvae_mnist", 20),
        Setting("β-TCVAE dSprites, MLP, B=2048", "beta_tcvae_dsprites", 2),
        Setting("JointVAE MNIST, conv, B=64", "joint_vae_mnist", 10),
        Setting("α-β shapes, conv, B=64", "alpha_beta_shapes_student_t", 5, ("batch_size=64",)),
        Setting("ISA-VAE dSprites, MLP, B=2048", "isa_vae_dsprites", 2),
    )
}


@dataclass(frozen=True)
class Data:
    """The source and the number of the examples.

    Attributes:
        rows: the number of training examples.
        root: the folder of published files.
        scratch: the folder for synthetic files.
    """

    rows: int
    root: Path
    scratch: Path

    @classmethod
    def here(cls, rows: int, scratch: Path) -> "Data":
        """Return the data with the published files that a run would find."""
        return cls(rows, Path(os.environ.get("HFVAE_DATA", "data")), scratch)

    def overrides(self, experiment: str) -> list[str]:
        """Return the overrides with which an experiment uses these data.

        Missing files are replaced: MNIST by random bytes, and dSprites by sprites that the program draws.

        Raises:
            DataError: a published file exists but cannot be read.
        """
        subset = f"dataset.subset={self.rows}"
        if experiment.endswith("_mnist"):
            return [subset, f"data_root={quoted(str(self._mnist()))}"]
        if published("dsprites", self.root) is None:
            return [subset, "dataset=dsprites_rendered"]
        return [subset, f"data_root={quoted(str(self.root))}"]

    def said(self, experiment: str) -> str:
        """Describe the source of an experiment's data, for a note below the table."""
        if experiment.endswith("_mnist"):
            return "MNIST as published" if published("mnist", self.root) is not None else "MNIST of random bytes"
        return "dSprites as published" if published("dsprites", self.root) is not None else "dSprites drawn here"

    def _mnist(self) -> Path:
        if published("mnist", self.root) is not None:
            return self.root
        if not (self.scratch / "MNIST").exists():
            write_idx("MNIST", self.scratch)
        return self.scratch


def config_of(experiment: str, overrides: Sequence[str]) -> Config:
    """Return the whole config of an experiment.

    Raises:
        ConfigError: the overrides do not fit the experiment.
    """
    own = SETTINGS[experiment].overrides
    return schema.parse(composed([f"+experiment={experiment}", *own, *overrides]))
