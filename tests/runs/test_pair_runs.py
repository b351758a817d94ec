"""Runs on pairs of a small rendered grid: trained, resumed to the bit, refused."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import history, metrics, same_to_the_bit
from stacks import tiny

from hfvae_runner.config.schema import Config
from hfvae_runner.data import Dataset, Split
from hfvae_runner.data._render import masks
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError
from hfvae_runner.runs import assembly, single
from hfvae_runner.training.run import inputs_of

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = Grid(("shape", "scale", "orientation"), (3, 6, 10), nuisance=("shape",))
PIXELS = 16


@cache
def sprites() -> Dataset:
    """Sprites of every fourth angle in the middle, at a quarter of their size."""
    drawn = torch.from_numpy(masks())[:, :, ::4].reshape(-1, 1, 64, 64)
    images = torch.nn.functional.avg_pool2d(drawn.float(), 64 // PIXELS).mul(255).byte()
    factors = GRID.cells()
    split = Split(images, labels=factors[:, 0].long(), factors=factors)
    return Dataset(split, split, "unit_interval", ("square", "ellipse", "heart"), GRID)


def config(objective: str = "ada_gvae", pairs: object = None, **changes: Any) -> Config:
    data = {"_target_": "test_pair_runs.sprites", "pairs": {"factors": "random"} if pairs is None else pairs}
    return tiny(objective, dataset=data, batch_size=12, **changes)


@pytest.mark.parametrize("objective", ["ada_gvae", "ada_ml_vae"])
def test_a_short_run(objective: str, tmp_path: Path) -> None:
    single.run(config(objective, steps=60, lr=3e-3), tmp_path)
    rows, results = history(tmp_path), metrics(tmp_path)
    assert rows["loss"].iloc[-3:].mean() < rows["loss"].iloc[:3].mean()
    # Of the latents, the nearest is always shared and the farthest never.
    latents = sum(name.startswith("kl/") and "[" in name for name in rows.columns) + 1
    assert rows["shared"].between(1, latents - 1).all()
    assert "differ in a random number, 1 to 2, of 3 factors" in results["dataset"]["notes"]["pairs"]
    assert results["run"]["examples_seen"] == 60 * 12


def test_resumed_to_the_bit(tmp_path: Path) -> None:
    """Cut in the second epoch, of fifteen steps."""
    single.run(config(steps=22), tmp_path / "whole")
    single.run(config(steps=18), tmp_path / "parts")
    single.run(config(steps=22, resume="auto"), tmp_path / "parts")
    same_to_the_bit(tmp_path / "whole", tmp_path / "parts")


def test_images_of_a_pair_differ_in_k_factors() -> None:
    run = assembly.assemble(config(pairs={"factors": 2}))
    numbered = torch.arange(len(GRID))
    run.batches.x = numbered
    for step in range(2 * run.batches.steps_per_epoch):
        first, second = GRID.to_factors(run.batches.at(step)[0]).chunk(2)
        assert (first != second).sum(1).tolist() == [2] * 6


def test_an_objective_without_averages_takes_pairs_too() -> None:
    """β-VAE on the same pairs, to compare with: the same batches, other posteriors."""
    batches, shared = [], []
    for name in ("beta_vae", "ada_gvae"):
        run = assembly.assemble(config(name))
        state = single.initial_state(run)
        inputs = inputs_of(run, state)
        batches.append(inputs[0])
        shared.append(run.loss(*inputs)[1].get("shared"))
    assert torch.equal(*batches)
    assert shared[0] is None and shared[1] is not None


@pytest.mark.parametrize(
    ("pairs", "size", "message"),
    [
        ({"factors": 3}, 12, "expected a whole number from 1 to 2, or random"),
        ({"factors": 1}, 11, "batch_size=11: dataset.pairs makes pairs of it; expected an even number"),
        ({}, 12, "expected null"),
    ],
)
def test_refused_before_the_run(pairs: object, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assembly.check(
            tiny("ada_gvae", dataset={"_target_": "test_pair_runs.sprites", "pairs": pairs}, batch_size=size)
        )


def test_averages_need_pairs() -> None:
    message = r"objective=ada_gvae does not fit dataset=unit_interval: .* expected dataset.pairs=\{factors: random\} or"
    with pytest.raises(ConfigError, match=message):
        assembly.check(tiny("ada_gvae", dataset={"_target_": "test_pair_runs.sprites", "pairs": None}))
