"""Conditions on examples whose labels, factors, measures and latent means are known."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data.factors import Grid
from hfvae_runner.data.holdout import pruned
from hfvae_runner.errors import ConfigError

GRID = Grid(("shape", "x"), (4, 10))
N = len(GRID)


def dataset() -> Dataset:
    """Forty images of 4×5: example i has ink i/40 (but for rounding), label i % 4, and the attribute of every fifth."""
    images = (torch.arange(N) * 6)[:, None, None, None].expand(-1, 1, 4, 5).byte()
    attributes = torch.stack([torch.arange(N) % 5 == 0, torch.arange(N) < 20], dim=1)
    split = Split(images, torch.arange(N) % 4, GRID.to_factors(torch.arange(N)).short(), attributes)
    names = ("zero", "one", "two", "three")
    return Dataset(split, split, "unit_interval", names, GRID, attribute_names=("fifth", "early"))


def no_run(folder: str, factor: str) -> Tensor:
    raise AssertionError("no condition names a run")


def held(condition: object) -> list[int]:
    """The examples that are held out, by their number; train is all others, in order."""
    made = pruned(dataset(), condition, no_run)
    assert made.holdout is not None and made.holdout.factors is not None and made.train.factors is not None
    out, left = (
        GRID.to_index(part.factors).tolist() for part in (made.holdout, made.train) if part.factors is not None
    )
    assert sorted(out + left) == list(range(N)) and left == sorted(left)
    assert len(made.test) == N, "the test split stays whole"
    assert f"{len(out)} of 40 training examples" in made.notes["holdout"]
    return out


def test_nothing_is_held_out_by_default() -> None:
    whole = dataset()
    assert pruned(whole, None, no_run) is whole


@pytest.mark.parametrize("label", [3, "three", [3], ["three", 3]])
def test_a_label_by_number_or_name(label: object) -> None:
    assert held({"label": label}) == [i for i in range(N) if i % 4 == 3]


def test_several_labels() -> None:
    assert held({"label": ["zero", 2]}) == [i for i in range(N) if i % 2 == 0]


def test_an_attribute() -> None:
    assert held({"attribute": "fifth"}) == list(range(0, N, 5))
    assert held({"attribute": "early", "equals": False}) == list(range(20, N))


def test_a_factor() -> None:
    assert held({"factor": "shape", "equals": 2}) == list(range(20, 30))
    assert held({"factor": "x", "equals": [0, 9]}) == [i for i in range(N) if i % 10 in (0, 9)]
    assert held({"factor": "x", "above": 6, "below": 9}) == [i for i in range(N) if i % 10 in (7, 8)]
    assert held({"factor": "label", "equals": 1}) == list(range(1, N, 4))


def test_a_measure() -> None:
    assert held({"measure": "ink", "below": 10 * 6 / 255}) == list(range(10))
    assert held({"measure": "ink", "above_quantile": 0.8}) == list(range(32, N))
    assert held({"measure": "ink", "above_quantile": 0.2, "below_quantile": 0.4}) == list(range(8, 16))


def test_a_quantile_is_one_of_those_that_match_what_comes_before() -> None:
    last, thickest = {"factor": "shape", "equals": 3}, {"measure": "ink", "above_quantile": 0.75}
    assert held({"all": [last, thickest]}) == [37, 38, 39]
    assert held({"all": [thickest, last]}) == list(range(30, N))
    narrowest = {"all": [{"label": 3}, {"measure": "ink", "below_quantile": 0.25}]}
    assert held(narrowest) == [3, 7, 11]
    assert held({"all": [{"factor": "shape", "equals": 0}, {"measure": "ink", "above_quantile": 0.75}]}) == [7, 8, 9]
    nested = {"all": [{"factor": "shape", "equals": 0}, {"any": [{"measure": "ink", "above_quantile": 0.75}]}]}
    assert held(nested) == [7, 8, 9]


def test_combinations() -> None:
    assert held({"any": [{"label": 0}, {"label": 2}]}) == list(range(0, N, 2))
    either = {"any": [{"all": [{"label": 3}, {"factor": "shape", "equals": 0}]}, {"attribute": "fifth"}]}
    assert held(either) == sorted({3, 7} | set(range(0, N, 5)))


def test_a_latent_mean() -> None:
    asked = []

    def means(folder: str, factor: str) -> Tensor:
        asked.append((folder, factor))
        return -torch.arange(N, dtype=torch.float32)

    condition = {"all": [{"label": 0}, {"run": "outputs/full", "factor": "style[3]", "above_quantile": 0.5}]}
    made = pruned(dataset(), condition, means)
    assert asked == [("outputs/full", "style[3]")]
    assert made.holdout is not None and made.holdout.factors is not None
    assert GRID.to_index(made.holdout.factors).tolist() == [0, 4, 8, 12, 16]


def test_all_that_is_known_goes_with_the_examples() -> None:
    made = pruned(dataset(), {"label": 1}, no_run)
    assert made.holdout is not None and made.holdout.labels is not None and made.holdout.attributes is not None
    assert made.holdout.labels.tolist() == [1] * 10
    assert made.holdout.attributes[:, 0].nonzero()[:, 0].tolist() == [1, 6]
    assert made.train.labels is not None and 1 not in made.train.labels


REFUSED = {
    "no condition": ("sevens", "dataset.holdout='sevens': expected a condition such as {label: 7}"),
    "nothing in it": (
        {},
        "dataset.holdout has nothing; expected one of all, any, label, attribute, measure, run, factor",
    ),
    "a misspelt condition": ({"lable": 3}, "dataset.holdout has lable; expected one of"),
    "two conditions": ({"label": 3, "measure": "ink"}, "measure: label goes with nothing (all: [...] combines"),
    "a misspelt bound": ({"measure": "ink", "abov": 0.1}, "dataset.holdout.abov: measure goes with above, above_"),
    "a list that is none": ({"all": {"label": 3}}, "dataset.holdout.all={'label': 3}: expected a list of conditions"),
    "an empty list": ({"any": []}, "dataset.holdout.any=[]: expected a list of conditions"),
    "deep inside": (
        {"all": [{"label": 3}, {"any": [{"label": 9}]}]},
        "dataset.holdout.all[1].any[0].label=9: expected",
    ),
    "an unknown label": ({"label": "thre"}, "expected a number from 0 to 3 or one of zero, one, two, three; did you"),
    "true as a label": ({"label": True}, "dataset.holdout.label=True: expected"),
    "an unknown attribute": ({"attribute": "fith"}, "expected one of fifth, early; did you mean 'fifth'?"),
    "an attribute's value": ({"attribute": "early", "equals": 1}, "dataset.holdout.equals=1: expected true or false"),
    "an unknown factor": ({"factor": "shap", "equals": 1}, "no factor 'shap'; expected one of shape, x, label; did"),
    "a factor's value": (
        {"factor": "x", "equals": 10},
        "dataset.holdout.equals=10: expected whole numbers from 0 to 9",
    ),
    "two ways to say it": ({"factor": "x", "equals": 1, "above": 3}, "has equals and above; expected one of them"),
    "an unknown measure": ({"measure": "inc", "above": 0}, "expected one of ink, width, height, slant; did you mean"),
    "no bound": ({"measure": "ink"}, "dataset.holdout has no bound; expected one of above, above_quantile, below"),
    "two bounds": ({"measure": "ink", "above": 0, "above_quantile": 0.5}, "has above and above_quantile; expected one"),
    "a quantile of one": ({"measure": "ink", "above_quantile": 1}, "expected a share between 0 and 1"),
    "text for a bound": ({"measure": "ink", "above": "much"}, "dataset.holdout.above='much': expected a number"),
    "a quantile of none": (
        {"all": [{"factor": "x", "above": 9}, {"measure": "ink", "above_quantile": 0.5}]},
        "dataset.holdout.all[1].above_quantile=0.5: no example matches the conditions before it",
    ),
    "a run that is no name": (
        {"run": 3, "factor": "z[0]", "above": 0},
        "dataset.holdout.run=3: expected the folder of",
    ),
    "a run without a factor": ({"run": "full", "above": 0}, "factor=None: expected the name of one of its factors"),
    "none match": (
        {"factor": "x", "above": 9},
        "dataset.holdout matches 0 of 40 training examples; expected from 2 to 38",
    ),
    "all match": ({"measure": "ink", "above": -1}, "dataset.holdout matches 40 of 40 training examples"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    condition, message = REFUSED[case]
    with pytest.raises(ConfigError) as refusal:
        pruned(dataset(), condition, no_run)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_data_set_that_does_not_know_enough() -> None:
    bare = replace(dataset(), train=Split(torch.rand(5, 2)), factors=None, label_names=None, attribute_names=None)
    for condition, message in (
        ({"label": 0}, "the data set has no labels"),
        ({"attribute": "fifth"}, "the data set has no attributes"),
        ({"factor": "x", "equals": 0}, "the data set has neither factors nor labels"),
        ({"measure": "ink", "above": 0}, "the examples are not images"),
    ):
        with pytest.raises(ConfigError, match=message):
            pruned(bare, condition, no_run)
