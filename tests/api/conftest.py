"""One short run for all tests of the Python face."""

from pathlib import Path

import pytest
import torch

import hfvae_runner
from hfvae_runner.api.loading import Run

SMALL = (
    "device=cpu",
    "image_size=8",
    "batch_size=128",
    "steps=20",
    "metrics=hoyer",
    "metrics.figures=false",
    "threads=1",
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on the digits, with checkpoints at steps 10 and 20."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("trained") / "run"
    hfvae_runner.train([*SMALL, "checkpoints.every=10", f"hydra.run.dir={folder}"])
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def run(trained: Path) -> Run:
    return hfvae_runner.load(trained, device="cpu")
