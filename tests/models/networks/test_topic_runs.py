"""Whole runs of the networks for bags of words: dropout and batch normalisation go on where a checkpoint left them."""

from pathlib import Path

import pytest
import torch
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.data import Dataset, Split
from hfvae_runner.runs import single

pytestmark = pytest.mark.usefixtures("one_thread", "workplace")

SMALL = ("device=cpu", "train.progress=false", "metrics.figures=false", "batch_size=32", "train.log_every=1")
BAGS = ("dataset._target_=test_topic_runs.bags", "likelihood=categorical", "prior=two_groups", "latents=3")


def bags(**_options_of_digits: object) -> Dataset:
    """Two hundred bags of words from a vocabulary of thirty."""
    counts = torch.randint(4, (200, 30), generator=torch.Generator().manual_seed(0)).float()
    return Dataset(Split(counts), Split(counts), "counts")


@pytest.mark.parametrize("model", ["prodlda", "nvdm"])
def test_a_resumed_run_is_the_uninterrupted_one(model: str, tmp_path: Path) -> None:
    def run(folder: str, *more: str) -> dict[str, object]:
        return single.run(schema.parse(resolved(*SMALL, *BAGS, f"model={model}", *more)), tmp_path / folder)

    whole = run("whole", "steps=9")
    run("cut", "steps=4")
    torch.rand(7)
    cut = run("cut", "steps=9", "resume=auto")
    assert cut["test"] == whole["test"]
    one, other = (
        torch.load(tmp_path / folder / "checkpoints" / "last.pt", weights_only=True)["model"]
        for folder in ("whole", "cut")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())
