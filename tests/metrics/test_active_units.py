"""Active units against variances that are known."""

import json
from typing import Any

import numpy as np
import pytest
from subjects import represented, subject

from hfvae_runner.metrics._subject import Representation
from hfvae_runner.metrics.active_units import active_units


def measured(encoded: Representation, threshold: float = 1e-2) -> dict[str, Any]:
    result = active_units(subject(encoded), threshold=threshold)
    json.dumps(result, allow_nan=False)
    return dict(result)


def test_the_variance_of_the_means_counts_and_not_that_of_the_samples() -> None:
    signs = np.array([[1.0], [-1.0]] * 50)
    result = measured(represented(signs * [0.2, 0.11, 0.09, 0.0] + [0, 3, -3, 1e6], scale=1.0))
    assert result["active_units"] == 2
    assert list(result["active_units_variance"]) == ["z[0]", "z[1]", "z[2]", "z[3]"]
    assert list(result["active_units_variance"].values()) == pytest.approx([0.04, 0.0121, 0.0081, 0])
    assert measured(represented(signs * [0.2, 0.11]), threshold=0.02)["active_units"] == 1


def test_the_variance_is_over_all_examples() -> None:
    assert measured(represented([[0.0], [0.0], [3.0]]))["active_units_variance"]["z[0]"] == pytest.approx(2)


def test_a_constant_has_exactly_no_variance() -> None:
    means = np.full((7, 2), 0.1)
    assert measured(represented(means), threshold=0.0) == {
        "active_units": 0,
        "active_units_variance": {"z[0]": 0, "z[1]": 0},
    }
    assert measured(represented([[5.0]]))["active_units"] == 0


def test_a_permutation_of_the_factors_keeps_the_count() -> None:
    means = np.random.default_rng(0).normal(size=(200, 5)) * [1, 0.05, 0.3, 0.01, 0]
    assert (
        measured(represented(means))["active_units"] == measured(represented(means[:, [4, 2, 0, 1, 3]]))["active_units"]
    )
    assert measured(represented(means))["active_units"] == 2


def test_without_continuous_factors_it_says_why() -> None:
    result = measured(represented(np.empty((2, 0)), discrete={"c": np.eye(2)}))
    for key in ("active_units", "active_units_variance"):
        assert result[key] is None
        assert result[f"{key}_why"] == "the prior has no continuous factors"
