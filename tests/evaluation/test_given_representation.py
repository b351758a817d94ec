"""Arrays from elsewhere: how they are taken, and one line about those that cannot be."""

from typing import Any

import numpy as np
import pytest
from representations import Arrays, arrays

from hfvae_runner.errors import DataError
from hfvae_runner.evaluation.given_representation import Given, given


def taken(content: Arrays, bins: int = 10, seed: int = 0) -> Given:
    return given(content, "here", factor_bins=bins, seed=seed)


def test_rows_stay_together_in_a_random_order_of_the_seed() -> None:
    content = arrays()
    found = taken(content)
    encoded, order = found.representation, found.order
    assert sorted(order) == list(range(240)) and order.tolist() != sorted(order)
    assert (encoded.mean == content["mean"][order]).all()
    assert encoded.scale is not None and (encoded.scale == content["scale"][order]).all()
    assert [each.name for each in encoded.truth] == ["shape", "size", "x"]
    assert [each.nuisance for each in encoded.truth] == [True, False, False]
    for k, factor in enumerate(encoded.truth):
        assert (factor.values == content["factors"][order, k]).all()
        assert (factor.magnitudes == factor.values).all()
    assert encoded.label is not None and (encoded.label.values == content["label"][order]).all()
    (variable,) = encoded.discrete
    assert variable.name == "class" and (variable.probabilities.argmax(1) == content["label"][order]).all()
    assert (taken(content).representation.mean == encoded.mean).all()
    assert (taken(content, seed=1).representation.mean != encoded.mean).any()


def test_samples_are_drawn_from_known_scales_and_no_others() -> None:
    content = arrays(20_000)
    encoded = taken(content).representation
    assert encoded.sample is not None and encoded.scale is not None
    noise = (encoded.sample - encoded.mean) / encoded.scale
    assert np.abs(noise.mean(0)).max() < 0.03 and np.abs(noise.std(0) - 1).max() < 0.03
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.03
    own = taken({**content, "sample": content["mean"] + 1})
    assert own.representation.sample is not None
    assert (own.representation.sample == content["mean"][own.order] + 1).all()
    del content["scale"]
    assert taken(content).representation.sample is None


def test_categories_are_drawn_from_their_probabilities() -> None:
    table = np.tile([0.2, 0.5, 0.3], (20_000, 1))
    (variable,) = taken({"mean": np.zeros((20_000, 1)), "class_probabilities/c": table}).representation.discrete
    assert variable.name == "c"
    assert np.bincount(variable.drawn) / 20_000 == pytest.approx([0.2, 0.5, 0.3], abs=0.02)


def test_a_log_variance_is_a_scale() -> None:
    content = arrays()
    content["log_variance"] = 2 * np.log(content.pop("scale"))
    scale = taken(content).representation.scale
    assert scale is not None and np.unique(scale.round(12)).tolist() == [0.1, 0.9]


def test_whole_numbers_are_classes_and_others_are_cut_into_bins() -> None:
    factors = np.stack([[-7, 2000, -7, 30], [0.0, 0.24, 0.76, 1.0]], axis=1)
    found = taken({"mean": np.zeros((4, 1)), "factors": factors}, bins=4)
    years, share = found.representation.truth
    back = np.argsort(found.order)
    assert (years.name, years.size, years.values[back].tolist()) == ("factor[0]", 3, [0, 2, 0, 1])
    assert years.magnitudes[back].tolist() == [-7, 2000, -7, 30]
    assert (share.size, share.values[back].tolist()) == (4, [0, 0, 3, 3])
    assert share.magnitudes[back].tolist() == [0.0, 0.24, 0.76, 1.0]
    assert found.bins == {"factor[1]": 4}


def test_without_factors_the_label_is_what_is_known() -> None:
    content = arrays()
    for key in ("factors", "factor_names", "factor_nuisance"):
        del content[key]
    encoded = taken(content).representation
    assert len(encoded.truth) == 1 and encoded.truth[0] is encoded.label
    del content["label"]
    assert taken(content).representation.truth == ()


@pytest.mark.parametrize(
    ("names", "blocks"),
    [
        (["style[0]", "style[1]", "other[0]"], {"style": slice(0, 2), "other": slice(2, 3)}),
        (["a[0]", "b[0]", "a[1]"], {"z": slice(0, 3)}),
        (["a[0]", "a[1]", "width"], {"z": slice(0, 3)}),
        (None, {"z": slice(0, 3)}),
    ],
)
def test_names_tell_the_blocks(names: list[str] | None, blocks: dict[str, slice]) -> None:
    content: Arrays = {"mean": np.zeros((2, 3)), "names": None if names is None else np.array(names)}
    encoded = taken(content).representation
    assert encoded.blocks == blocks
    assert encoded.names == tuple(names or ("z[0]", "z[1]", "z[2]"))


def test_a_representation_of_categories_alone() -> None:
    encoded = taken({"mean": np.empty((3, 0)), "class_probabilities": np.eye(3)}).representation
    assert encoded.variables == ("class",) and encoded.blocks == {}
    assert encoded.scale is not None and encoded.scale.shape == (3, 0)


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"mean": None}, "here has no mean; expected mean [N, D]"),
        ({"mean": np.zeros(240)}, "here: mean has shape [240]; expected [N, D]"),
        ({"mean": np.array([[1], [2]], dtype=object)}, "here: mean is of Python objects; expected numbers"),
        ({"mean": [[1, 2], [3]]}, "here: mean has rows of unequal lengths; expected an array"),
        ({"mean": np.full((240, 4), -1e200)}, "here: mean[0, 0] is -1e+200; expected at most 1e+100 in size"),
        ({"mean": np.array([["1"]])}, "here: mean is of dtype <U1; expected numbers"),
        ({"mean": np.zeros((240, 4), complex)}, "here: mean is of dtype complex128; expected numbers"),
        ({"scale": np.zeros((239, 4)) + 1}, "here: scale has shape [239, 4]; expected [240, 4]"),
        ({"scale": np.zeros((240, 4))}, "here: scale[0, 0] is 0; expected more than 0, or no scale at all"),
        ({"log_variance": np.zeros((240, 4))}, "here has scale and log_variance; expected one of them"),
        (
            {"scale": None, "log_variance": np.full((240, 4), 2000)},
            "here: log_variance[0, 0] is 2000; expected that of a variance above 0 and below infinity",
        ),
        ({"sample": np.zeros((240, 3))}, "here: sample has shape [240, 3]; expected [240, 4]"),
        ({"class_probabilities": np.full((240, 3), 0.5)}, "here: the sum of class_probabilities[0] is 1.5; expected 1"),
        ({"class_probabilities": np.tile([1.5, -0.5], (240, 1))}, "class_probabilities[0, 1] is -0.5; expected a prob"),
        ({"class_probabilities": np.ones((240, 1))}, "class_probabilities has 1 categories; expected two or more"),
        (
            {"class_probabilities/class": np.full((240, 2), 0.5)},
            "has class_probabilities and class_probabilities/class; expected different names",
        ),
        (
            {"class_probabilities/style[0]": np.full((240, 2), 0.5)},
            "style[0] names a factor and a discrete variable; expected different names",
        ),
        ({"label": np.arange(100)}, "here: label has shape [100]; expected [240]"),
        ({"label": np.r_[NAN, np.zeros(239)]}, "here: label[0] is nan; expected a finite number"),
        ({"label": np.r_[0, -1, np.zeros(238)]}, "here: label[1] is -1; expected a whole number from 0 on"),
        ({"label": np.zeros(240) + 0.5}, "here: label[0] is 0.5; expected a whole number from 0 on"),
        ({"factors": np.zeros(240)}, "here: factors has shape [240]; expected [240, F]"),
        ({"factors": np.full((240, 3), np.inf)}, "here: factors[0, 0] is inf; expected a finite number"),
        ({"factors": None}, "here has factor_names and no factors; expected factors [N, F]"),
        ({"factor_names": np.array(["a", "b"])}, "factor_names has shape [2]; expected [3], a name a column"),
        ({"factor_names": np.array(["a", "b", "a"])}, "factor_names is a, b, a; expected different names"),
        ({"factor_names": np.array([1, 2, 3])}, "here: factor_names is of dtype int64; expected text"),
        ({"factor_nuisance": np.array([0, 1])}, "here: factor_nuisance has shape [2]; expected [3]"),
        ({"factor_nuisance": np.array([0, 1, 2])}, "here: factor_nuisance[2] is 2; expected true or false"),
        ({"names": np.array(list("abc"))}, "here: names has shape [3]; expected [4], a name a column"),
        ({"names": np.array(["a", "b", "", "c"])}, "here: names is a, b, , c; expected different names"),
    ],
)
def test_what_cannot_be_taken_has_one_line(change: dict[str, Any], line: str) -> None:
    with pytest.raises(DataError) as error:
        taken({**arrays(), **change})
    assert line in str(error.value) and "\n" not in str(error.value)


def test_a_value_that_is_no_number_is_named_by_its_place() -> None:
    content = arrays()
    content["mean"][17, 2] = NAN
    with pytest.raises(DataError, match=r"here: mean\[17, 2\] is nan; expected a finite number"):
        taken(content)


@pytest.mark.parametrize("rows", [0, 1])
def test_one_example_is_too_few(rows: int) -> None:
    with pytest.raises(DataError, match=f"here: mean has {rows} examples; expected two or more"):
        taken({"mean": np.zeros((rows, 3))})


def test_no_latent_variable_at_all() -> None:
    with pytest.raises(DataError, match="mean has no columns and there are no class_probabilities"):
        taken({"mean": np.zeros((3, 0))})
