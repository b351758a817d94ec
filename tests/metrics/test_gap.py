"""The parts that all mutual information gaps share."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from hfvae_runner.metrics._gap import Factors, categorical_information, gaps, information_of, partition_of
from hfvae_runner.metrics._subject import UNKNOWN, Categories, Truth


def truth(name: str, *values: int, size: int | None = None, nuisance: bool = False) -> Truth:
    return Truth(name, np.array(values), size or max(values) + 1, nuisance)


def test_values_that_do_not_occur_have_no_part() -> None:
    part = partition_of(truth("f", 4, 1, UNKNOWN, 4, size=7))
    assert part.part.tolist() == [1, 0, UNKNOWN, 1]
    assert part.counts.tolist() == [1, 2]
    assert part.probabilities == pytest.approx([1 / 3, 2 / 3])
    assert part.entropy == pytest.approx(np.log(3) - 2 / 3 * np.log(2))


def test_the_gap_is_the_difference_of_the_largest_two_in_units_of_the_entropy() -> None:
    information = np.array([[0.1, 0.3], [0.5, 0.2], [0.2, 0.0]])
    assert gaps(information, np.array([1.0, 0.5])) == pytest.approx([0.3, 0.2])


def test_an_estimate_below_zero_counts_as_zero() -> None:
    assert gaps(np.array([[0.4], [-0.3]]), np.array([2.0])) == pytest.approx([0.2])
    assert gaps(np.array([[-0.4], [-0.3]]), np.array([2.0])) == pytest.approx([0.0])


def test_every_repeat_has_its_own_gap() -> None:
    information = np.random.default_rng(0).random((4, 3, 2))
    each = [gaps(one, np.array([1.0, 2.0])) for one in information]
    assert gaps(information, np.array([1.0, 2.0])) == pytest.approx(np.stack(each))


def test_information_of_a_table_agrees_with_another_implementation() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 5, 300), generator.integers(0, 4, 300)
    joint = np.zeros((5, 4))
    np.add.at(joint, (one, other), 1)
    assert information_of(joint) == pytest.approx(mutual_info_score(one, other))
    assert information_of(np.outer([1.0, 2.0], [0.5, 0.25, 0.0])) == pytest.approx(0, abs=1e-15)


def test_categories_are_enumerated() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    part = partition_of(truth("f", 0, 0, 1, UNKNOWN))
    given = np.array([[0.8, 0.2], [0.2, 0.8]])  # q(c|v), of the rows that are known
    whole = np.array([1.8, 1.2]) / 3
    expected = 2 / 3 * (given[0] @ np.log(given[0] / whole)) + 1 / 3 * (given[1] @ np.log(given[1] / whole))
    variable = Categories("c", probabilities, np.zeros(4, dtype=np.int64))
    assert categorical_information(variable, part) == pytest.approx(expected)


def test_a_factor_with_one_value_is_null_and_left_out() -> None:
    factors = Factors.of([truth("constant", 0, 0, 0), truth("varies", 0, 1, 1), truth("unknown", -1, -1, -1, size=2)])
    assert [each.name for each in factors.partitions] == ["varies"]
    assert factors.each(np.array([0.25])) == {"constant": None, "varies": 0.25, "unknown": None}
    assert factors.mean("mig", np.array([0.25])) == {"mig": 0.25}


def test_a_nuisance_has_no_part_in_the_mean() -> None:
    factors = Factors.of([truth("shape", 0, 1, nuisance=True), truth("x", 0, 1)])
    assert factors.mean("mig", np.array([0.1, 0.7])) == {"mig": 0.7}
    only = Factors.of([truth("shape", 0, 1, nuisance=True)])
    assert only.mean("mig", np.array([0.1])) == {"mig": None, "mig_why": "every factor that varies is a nuisance"}


@pytest.mark.parametrize(
    ("given", "variables", "why"),
    [
        ([], 3, "nothing is known"),
        ([truth("x", 0, 0)], 3, "two values"),
        ([truth("x", 0, 1)], 1, "between two latent variables, and there is 1"),
        ([truth("x", 0, 1)], 0, "between two latent variables, and there is none"),
    ],
)
def test_why_there_is_no_gap(given: list[Truth], variables: int, why: str) -> None:
    found = Factors.of(given).why_none(variables)
    assert found is not None and why in found
    assert Factors.of([truth("x", 0, 1)]).why_none(2) is None


def test_groups_hold_the_rows_of_each_value_and_those_that_are_known() -> None:
    factors = Factors.of([truth("a", 0, 1, 0, 1), truth("b", 2, UNKNOWN, 0, 0), truth("c", 0, 1, 2, 3)])
    groups = factors.groups()
    members = [rows.tolist() for rows in groups.members]
    assert [len(rows) for rows in members] == groups.sizes.tolist()
    assert [members[g] for g in groups.known] == [[0, 1, 2, 3], [0, 2, 3], [0, 1, 2, 3]]
    assert groups.known[0] == groups.known[2]
    assert members[groups.values[0]] == [[0, 2], [1, 3]]
    assert members[groups.values[1]] == [[2, 3], [0]]
    assert members[groups.values[2]] == [[0], [1], [2], [3]]


def test_factors_that_too_few_of_the_rows_know_are_put_aside() -> None:
    factors = Factors.of([truth("a", 0, 1, 0, 1), truth("b", 1, UNKNOWN, UNKNOWN, 0)])
    kept = factors.known_of(np.array([0, 1, 2]), at_least=2)
    assert [each.name for each in kept.partitions] == ["a"]
    assert kept.each(np.array([0.5])) == {"a": 0.5, "b": None}
