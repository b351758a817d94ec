"""Which labels are given: a fixed part of every class."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hfvae_runner.data.supervision import UNLABELLED, Supervised, some_labels

LABELS = torch.arange(1000) % 10


@pytest.mark.parametrize("fraction", [0.1, 0.25, 1.0])
def test_every_class_gives_its_part(fraction: float) -> None:
    given_labels = some_labels(LABELS, fraction)
    labelled = given_labels != UNLABELLED
    assert torch.equal(given_labels[labelled], LABELS[labelled])
    assert torch.bincount(given_labels[labelled]).tolist() == [round(100 * fraction)] * 10


def test_the_choice_depends_on_nothing_but_the_labels() -> None:
    torch.manual_seed(1)
    one = some_labels(LABELS, 0.1)
    torch.manual_seed(2)
    assert torch.equal(one, some_labels(LABELS, 0.1))
    # Not the first ones of the file, which another's order may have sorted.
    assert not torch.equal(one[:100], LABELS[:100])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(1e-3, 1))
def test_no_class_goes_without(labels: list[int], fraction: float) -> None:
    given_labels = some_labels(torch.tensor(labels), fraction)
    assert set(given_labels.tolist()) - {UNLABELLED} == set(labels)


def test_what_is_given() -> None:
    assert Supervised("class", torch.tensor([3, UNLABELLED, 0])).given.tolist() == [True, False, True]
