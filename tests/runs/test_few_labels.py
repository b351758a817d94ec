"""Runs with the factors of some examples given: what is learned, from which examples, resumed to the bit, refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import history, metrics, same_to_the_bit
from stacks import tiny
from test_pair_runs import GRID, sprites

from hfvae_runner.config.schema import Config
from hfvae_runner.errors import ConfigError
from hfvae_runner.runs import assembly, single

pytestmark = pytest.mark.usefixtures("one_thread")


def config(objective: str = "beta_vae", /, *, given: dict[str, Any] | None = None, **changes: Any) -> Config:
    own = {"factor_examples": 30, "factor_weight": 64.0, "factors": ["scale", "orientation"], **(given or {})}
    data = {"_target_": "test_pair_runs.sprites"}
    return tiny(objective, dataset=data, batch_size=12, supervision=own, **changes)


def test_the_means_follow_the_given_factors(tmp_path: Path) -> None:
    """Rank correlation of mean and factor over all 180 images, of which 30 have theirs given."""
    single.run(config(steps=400, lr=3e-3), tmp_path)
    losses = history(tmp_path)["term/factor_cross_entropy"]
    assert losses.iloc[-5:].mean() < losses.iloc[0]
    assert metrics(tmp_path)["run"]["given_factors"] == {"scale": "style[0]", "orientation": "style[1]"}
    model = assembly.finished_run(config(steps=400, lr=3e-3), tmp_path).model.eval()
    split = sprites().train
    with torch.no_grad():
        mean = model.latents.mode(model.encode(split.x[torch.arange(len(split))] / 255))[0]
    assert split.factors is not None
    ranks = [column.double().argsort().argsort() for column in (mean[:, 0], split.factors[:, 1])]
    assert torch.corrcoef(torch.stack(ranks).double())[0, 1] > 0.8


def test_the_given_examples_come_again_and_again_in_one_order() -> None:
    run = assembly.assemble(config())
    run.batches.x = torch.arange(len(GRID))
    seen: list[int] = []
    for step in range(5):
        labelled = run.batches.at(step).labelled
        assert labelled is not None
        rows, values = labelled
        assert torch.equal(values, GRID.to_factors(rows)[:, 1:])
        seen += rows.tolist()
    assert seen[:30] == seen[30:] and len(set(seen)) == 30


def test_fewer_examples_than_a_batch() -> None:
    labelled = assembly.assemble(config(given={"factor_examples": 5})).batches.at(3).labelled
    assert labelled is not None and len(labelled[0]) == len(labelled[1]) == 5


def test_they_do_not_depend_on_the_seed() -> None:
    rows = [each.rows for seed in (0, 1) if (each := assembly.assemble(config(seed=seed)).batches.labelled)]
    assert torch.equal(*rows)


def test_resumed_to_the_bit(tmp_path: Path) -> None:
    single.run(config(steps=22), tmp_path / "whole")
    single.run(config(steps=18), tmp_path / "parts")
    single.run(config(steps=22, resume="auto"), tmp_path / "parts")
    same_to_the_bit(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"factor_examples": 181}, "factor_examples=181: there are 180 training examples; expected at most that"),
        ({"factor_examples": None}, "supervision.factors without supervision.factor_examples"),
        ({"factors": ["scal"]}, "supervision.factors: no factor 'scal'"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assembly.assemble(config(given=given))


def test_data_without_factors_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no ground-truth factors; expected null"):
        assembly.assemble(tiny("vae", supervision={"factor_examples": 3}))
