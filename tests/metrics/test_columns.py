"""The code's columns: which are whose, which vary, and which rows are fitted on."""

import numpy as np
from subjects import represented

from hfvae_runner.metrics._columns import columns, has_order, split_rows, varying
from hfvae_runner.metrics._subject import Representation, Truth


def two_kinds() -> Representation:
    generator = np.random.default_rng(0)
    return represented(
        generator.normal(size=(6, 2)),
        discrete={"c": generator.dirichlet(np.ones(3), 6), "b": generator.dirichlet(np.ones(2), 6)},
    )


def test_the_columns_are_the_means_and_then_the_probabilities() -> None:
    encoded = two_kinds()
    code = columns(encoded)
    table = np.hstack([encoded.mean, encoded.discrete[0].probabilities, encoded.discrete[1].probabilities])
    np.testing.assert_array_equal(code.values, table)
    assert code.starts.tolist() == [0, 1, 2, 5]
    assert code.parts() == [slice(0, 1), slice(1, 2), slice(2, 5), slice(5, 7)]
    np.testing.assert_allclose(code.sums(code.values)[:, 2:], 1)
    np.testing.assert_array_equal(code.sums(code.values)[:, :2], encoded.mean)


def test_the_columns_of_some_variables_only() -> None:
    encoded = two_kinds()
    code = columns(encoded, [False, True, False, True])
    np.testing.assert_array_equal(code.values, np.hstack([encoded.mean[:, 1:], encoded.discrete[1].probabilities]))
    assert code.starts.tolist() == [0, 1]


def test_a_code_of_discrete_variables_alone() -> None:
    sure = np.eye(3)[[0, 1, 2, 0]]
    encoded = represented(np.empty((4, 0)), discrete={"c": sure, "even": np.full((4, 2), 0.5)})
    assert columns(encoded, varying(encoded, 0.05)).values.tolist() == sure.tolist()
    assert columns(encoded).starts.tolist() == [0, 3]


def test_a_variable_varies_by_the_share_of_its_deviation_that_its_means_have() -> None:
    generator = np.random.default_rng(1)
    unit = generator.normal(size=(2000, 1))
    unit = (unit - unit.mean()) / unit.std()
    # The aggregate posterior's variance is 1, so that the share is the means' deviation itself.
    for deviation, varies in ((0.049, False), (0.051, True)):
        scale = np.sqrt(1 - deviation**2)
        assert varying(represented(unit * deviation, scale), 0.05).tolist() == [varies]
        # Whatever its unit, a variable has the same share.
        assert varying(represented(unit * deviation * 1e-6, scale * 1e-6), 0.05).tolist() == [varies]


def test_a_constant_never_varies_and_a_mean_without_spread_always_does() -> None:
    means = np.stack([np.full(10, 0.1), np.arange(10.0) * 1e-9], axis=1)
    assert varying(represented(means, 0.0), 0.0).tolist() == [False, True]
    assert varying(represented(means, [[0.0, 1.0]]), 0.0).tolist() == [False, True]
    assert varying(represented(means, [[0.0, 1.0]]), 0.05).tolist() == [False, False]


def test_a_discrete_variable_varies_as_its_one_hot_code() -> None:
    sure = np.eye(4)[np.arange(400) % 4]
    means = np.arange(400.0)[:, None]
    encoded = represented(
        means, discrete={"sure": sure, "even": np.full((400, 4), 0.25), "faint": 0.96 / 4 + 0.04 * sure}
    )
    assert varying(encoded, 0.05).tolist() == [True, True, False, False]
    # Of the one-hot code of variance 1 − 1/4, the probabilities explain the square of 0.04.
    assert varying(encoded, 0.0399).tolist() == [True, True, False, True]
    assert varying(encoded, 0.0401).tolist() == [True, True, False, False]


def test_rows_to_fit_on_and_to_score_do_not_overlap() -> None:
    assert split_rows(100, 20, 10) == (slice(0, 20), slice(20, 30))
    assert split_rows(30, 20, 10) == (slice(0, 20), slice(20, 30))
    assert split_rows(15, 20, 10) == (slice(0, 10), slice(10, 15))
    assert split_rows(1, 20, 10) == (slice(0, 0), slice(0, 1))


def test_the_values_of_nuisance_and_of_the_label_are_names() -> None:
    truth = [Truth("shape", np.array([0, 1]), 2, nuisance=True), Truth("scale", np.array([0, 1]), 2)]
    grid = represented([[0.0], [1.0]], truth=truth)
    assert [has_order(each, grid) for each in grid.truth] == [False, True]
    digits = represented([[0.0], [1.0]], truth={"label": [0, 1]}, label=[0, 1])
    assert not has_order(digits.truth[0], digits)
