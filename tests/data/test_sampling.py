"""Weighted sampling: β-TCVAE's four configurations by their definitions, the draws by their probabilities."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data._dataset import without_split
from hfvae_runner.data.factors import Grid
from hfvae_runner.data.sampling import PRESETS, draws, preset_weights, restricted, weighted
from hfvae_runner.errors import ConfigError

GRID = Grid(("identity", "azimuth", "elevation", "lens"), (3, 5, 4, 1), ("identity",))
SIZES = [(2, 2), (3, 3), (21, 11), (4, 7), (31, 2)]


def world() -> Dataset:
    factors = GRID.cells()
    split = Split(torch.arange(len(GRID))[:, None].float(), labels=factors[:, 0].long(), factors=factors)
    return without_split(split, "real", GRID, None, label_names=("ann", "bob", "cem"))


def labelled() -> Dataset:
    """No grid, and a test split of its own."""
    train = Split(torch.arange(9.0)[:, None], torch.arange(9) % 3)
    return Dataset(train, Split(torch.arange(6.0)[:, None], torch.arange(6) % 3), "real", ("a", "b", "c"))


def moments(table: Tensor) -> tuple[Tensor, float]:
    """How far the joint probabilities are from the product of the marginals, and the correlation."""
    p = table / table.sum()
    rows, columns = p.sum(1), p.sum(0)
    x, y = (torch.linspace(-1, 1, len(side), dtype=torch.float64) for side in (rows, columns))
    covariance = (p * x[:, None] * y).sum() - (rows @ x) * (columns @ y)
    spread = ((rows @ x**2 - (rows @ x) ** 2) * (columns @ y**2 - (columns @ y) ** 2)).sqrt()
    return (p - rows[:, None] * columns).abs().max(), float(covariance / spread)


# β-TCVAE, Fig. 5 and Sec. 6.1


@pytest.mark.parametrize(
    ("preset", "sizes"),
    # With two values C is not what it should be, and is refused.
    [(preset, sizes) for preset in PRESETS for sizes in SIZES if preset != "C" or min(sizes) > 2],
)
def test_the_presets_are_as_the_paper_defines_them(preset: str, sizes: tuple[int, int]) -> None:
    table = preset_weights(preset, sizes)
    assert tuple(table.shape) == sizes
    assert float(table.max() / table.min()) == pytest.approx(1 if preset == "A" else 4)
    dependence, correlation = moments(table)
    uniform = (table.sum(1) / table.sum() - 1 / sizes[0]).abs().max() < 1e-12
    match preset:
        case "A":
            assert uniform and dependence < 1e-12
        case "B":
            assert not uniform and dependence < 1e-12 and abs(correlation) < 1e-9
        case "C":
            assert dependence > 1e-4 and abs(correlation) < 1e-9
        case "D":
            assert dependence > 1e-4 and correlation > 0.1


# Draws


@settings(max_examples=30)
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40), st.integers(0, 1000))
def test_an_epoch_has_each_example_as_often_as_it_should(weights: list[float], seed: int) -> None:
    n = len(weights)
    given_weights = torch.tensor(weights, dtype=torch.float64)
    rows = draws(n, given_weights, torch.Generator().manual_seed(seed))
    assert rows.shape == (n,) and rows.dtype == torch.int64
    counts = torch.bincount(rows, minlength=n)
    expected = n * given_weights / given_weights.sum()
    assert bool((counts >= (expected - 1e-9).floor()).all()) and bool((counts <= (expected + 1e-9).ceil()).all())


def test_the_mean_over_epochs_is_the_weight() -> None:
    weights = torch.tensor([1.0, 1.0, 2.0, 4.0, 3.0], dtype=torch.float64)
    epochs = 2000
    generator = torch.Generator().manual_seed(0)
    rows = torch.stack([draws(5, weights, generator) for _ in range(epochs)])
    share = torch.bincount(rows.flatten(), minlength=5) / rows.numel()
    expected = weights / weights.sum()
    # A count is within 1 of its mean, so the standard error of a share is at most 0.5 / (5·√epochs).
    assert (share - expected).abs().max() < 5 * 0.5 / (5 * math.sqrt(epochs))
    at_first = torch.bincount(rows[:, 0], minlength=5) / epochs
    assert (at_first - expected).abs().max() < 5 * 0.5 / math.sqrt(epochs), "no place in the epoch is special"


def test_without_weights_an_epoch_is_a_permutation() -> None:
    same = torch.randperm(50, generator=torch.Generator().manual_seed(3))
    assert torch.equal(draws(50, None, torch.Generator().manual_seed(3)), same)


# The config


def test_an_example_weighs_what_its_cell_does() -> None:
    dataset = world()
    made = weighted(dataset, {"preset": "D", "factors": ["elevation", "azimuth"]}).train
    assert made.weights is not None and made.factors is not None
    table = preset_weights("D", (4, 5))
    for weight, (_, azimuth, elevation, _) in zip(made.weights.tolist(), made.factors.tolist(), strict=True):
        assert weight == table[elevation, azimuth]


def test_labels_are_a_factor_too() -> None:
    made = weighted(labelled(), {"weights": [1, 2, 4], "factors": ["label"]})
    assert made.train.weights is not None
    assert made.train.weights.tolist() == [1, 2, 4] * 3
    assert made.test.weights is None
    assert made.test_sampled is not None and made.test_sampled.weights is not None
    assert made.test.labels is not None
    assert made.test_sampled.weights.tolist() == [[1, 2, 4][label] for label in made.test.labels.tolist()]
    assert "sampling" in made.notes


def test_three_factors_can_be_weighed_together() -> None:
    table = torch.arange(1, 61, dtype=torch.float64).view(3, 5, 4)
    made = weighted(world(), {"weights": table.tolist(), "factors": ["identity", "azimuth", "elevation"]})
    assert made.train.weights is not None
    assert made.train.weights.tolist() == list(range(1, 61))


@pytest.mark.parametrize("sampling", [None, {"preset": "A", "factors": ["azimuth", "elevation"]}])
def test_all_alike_are_not_weighed(sampling: object) -> None:
    made = weighted(world(), sampling)
    assert made.train.weights is None and made.test_sampled is None


def test_weights_go_with_their_examples() -> None:
    made = weighted(labelled(), {"weights": [1, 2, 4], "factors": ["label"]}).train
    part = made.take(torch.tensor([2, 0]))
    assert part.weights is not None
    assert part.weights.tolist() == [4, 1]


def test_fixed_factors_leave_a_smaller_world() -> None:
    left = restricted(world(), {"fixed": {"identity": 1, "lens": 0}})
    assert left.train.factors is not None
    assert set(left.train.factors[:, 0].tolist()) == {1}
    assert left.train.x[torch.arange(20)][:, 0].tolist() == list(range(20, 40))
    assert len(left.test) == 20, "there is no published split: it is tested on what it is trained on"
    assert left.notes["fixed"].startswith("only the examples of identity=1, lens=0, 20 of 60")


def test_a_published_test_split_is_restricted_as_it_is() -> None:
    left = restricted(labelled(), {"fixed": {"label": 2}})
    assert left.train.x[torch.arange(3)][:, 0].tolist() == [2, 5, 8]
    assert left.test.x[torch.arange(2)][:, 0].tolist() == [2, 5]


REFUSED = {
    "no section": ("B", "dataset.sampling='B': expected null or {preset: B, factors: [x, y]}"),
    "an unknown key": ({"presets": "B"}, "dataset.sampling.presets: unknown key; expected one of preset, weights"),
    "an unknown preset": ({"preset": "E", "factors": ["azimuth", "elevation"]}, "expected one of A, B, C, D"),
    "both": ({"preset": "B", "weights": [1], "factors": ["azimuth"]}, "has preset and weights; expected one"),
    "factors alone": ({"factors": ["azimuth"]}, "expected dataset.sampling.preset or dataset.sampling.weights with it"),
    "no factors": ({"preset": "B"}, "dataset.sampling.factors=None: expected a list of different factors"),
    "a factor twice": ({"preset": "B", "factors": ["lens", "lens"]}, "expected a list of different factors"),
    "an unknown factor": (
        {"preset": "B", "factors": ["azimut", "elevation"]},
        "no factor 'azimut'; expected one of identity, azimuth, elevation, lens, label; did you mean 'azimuth'?",
    ),
    "one factor": ({"preset": "B", "factors": ["azimuth"]}, "has 1 factors; expected two"),
    "a constant factor": ({"preset": "B", "factors": ["azimuth", "lens"]}, "lens has 1 values; expected a factor of 2"),
    "another shape": (
        {"weights": [[1, 2], [3, 4]], "factors": ["azimuth", "elevation"]},
        "expected 5×4 numbers in nested lists, for azimuth, elevation",
    ),
    "no numbers": ({"weights": ["a", "b", "c"], "factors": ["label"]}, "expected 3 numbers in nested lists"),
    "a zero": ({"weights": [1, 0, 1], "factors": ["label"]}, "expected numbers above 0; dataset.holdout or"),
    "infinite": ({"weights": [1, math.inf, 1], "factors": ["label"]}, "expected numbers above 0"),
    "fixed at nothing": ({"fixed": {}}, "dataset.sampling.fixed={}: expected values by factor"),
    "fixed out of range": ({"fixed": {"azimuth": 5}}, "dataset.sampling.fixed.azimuth=5: expected a whole number"),
    "fixed at text": ({"fixed": {"label": "ann"}}, "fixed.label='ann': expected a whole number from 0 to 2"),
    "a single cell": (
        {"fixed": {"identity": 0, "azimuth": 0, "elevation": 0}},
        "1 training examples have it; expected two or more",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    sampling, message = REFUSED[case]
    with pytest.raises(ConfigError) as refusal:
        weighted(restricted(world(), sampling), sampling)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_configuration_c_needs_three_values() -> None:
    dataset = world()
    grid = Grid(("identity", "azimuth", "elevation", "lens"), (3, 10, 2, 1))
    factors = grid.cells()
    dataset = replace(dataset, train=replace(dataset.train, factors=factors), factors=grid)
    with pytest.raises(ConfigError, match="preset=C: elevation has 2 values; expected a factor of 3 or more"):
        weighted(dataset, {"preset": "C", "factors": ["azimuth", "elevation"]})


def test_a_data_set_without_factors_and_labels() -> None:
    dataset = replace(labelled(), train=Split(torch.zeros(5, 2)), label_names=None)
    with pytest.raises(ConfigError, match="expected null: the data set has neither factors nor labels"):
        weighted(dataset, {"preset": "B", "factors": ["x", "y"]})
