import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.data.pairs import GroupPartners
from hfvae_runner.errors import ConfigError
from hfvae_runner.training.batches import Batches

sizes = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))
seeds = st.integers(0, 2**40)


def numbered(n: int) -> Tensor:
    return torch.arange(n)[:, None]


def epoch(batches: Batches, number: int) -> list[int]:
    """The examples of one epoch, in order."""
    first = number * batches.steps_per_epoch
    steps = range(first, first + batches.steps_per_epoch)
    return [index for step in steps for index in batches.at(step)[0][:, 0].tolist()]


@settings(max_examples=40)
@given(sizes, seeds, st.integers(0, 100))
def test_no_example_comes_twice_in_an_epoch(size: tuple[int, int], seed: int, number: int) -> None:
    n, batch_size = size
    batches = Batches(numbered(n), batch_size, seed)
    assert batches.steps_per_epoch == n // batch_size
    examples = epoch(batches, number)
    assert len(examples) == len(set(examples)) == n - n % batch_size
    assert set(examples) <= set(range(n))


@settings(max_examples=40)
@given(sizes, seeds, st.lists(st.integers(0, 200), min_size=1, max_size=10))
def test_any_step_is_reached_directly(size: tuple[int, int], seed: int, steps: list[int]) -> None:
    n, batch_size = size
    sequential, direct = (Batches(numbered(n), batch_size, seed) for _ in range(2))
    read = [sequential.at(step)[0] for step in range(max(steps) + 1)]
    for step in steps:
        assert torch.equal(direct.at(step)[0], read[step])


def test_the_order_depends_on_seed_and_epoch() -> None:
    def order(seed: int, number: int, batch_size: int = 10) -> list[int]:
        return epoch(Batches(numbered(30), batch_size, seed), number)

    assert order(0, 0) == order(0, 0) == order(0, 0, batch_size=5)
    assert len({tuple(order(seed, number)) for seed in (0, 1, 2) for number in (0, 1, 2)}) == 9


def test_the_order_owes_nothing_to_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    batches = Batches(numbered(30), 10, 0)
    batches.at(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_examples_left_over_change_from_epoch_to_epoch() -> None:
    batches = Batches(numbered(10), 4, 0)
    left_over = {frozenset(range(10)) - frozenset(epoch(batches, number)) for number in range(100)}
    assert all(len(each) == 2 for each in left_over)
    assert len(left_over) > 10
    assert frozenset().union(*left_over) == set(range(10))


def test_a_batch_is_as_the_data_are_stored() -> None:
    batch = Batches(torch.zeros(7, 1, 28, 28, dtype=torch.uint8), 3, 0).at(0)[0]
    assert batch.dtype == torch.uint8
    assert batch.shape == (3, 1, 28, 28)


def test_a_batch_larger_than_the_data_set_is_refused() -> None:
    assert Batches(numbered(5), 5, 0).at(3)[0].shape == (5, 1)
    with pytest.raises(ConfigError, match="batch_size=6: the data set has 5 training examples"):
        Batches(numbered(5), 6, 0)


@settings(max_examples=40)
@given(seeds, st.lists(st.integers(0, 100), min_size=1, max_size=10))
def test_weighted_epochs_depend_on_seed_and_epoch_alone(seed: int, steps: list[int]) -> None:
    weights = torch.tensor([1.0, 2.0, 4.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    sequential, direct = (Batches(numbered(6), 2, seed, weights=weights) for _ in range(2))
    read = [sequential.at(step)[0] for step in range(max(steps) + 1)]
    for step in steps:
        assert torch.equal(direct.at(step)[0], read[step])


def test_heavier_examples_come_more_often() -> None:
    weights = torch.tensor([1.0, 1.0, 2.0, 4.0], dtype=torch.float64)
    batches = Batches(numbered(4), 1, 0, torch.arange(4), weights)
    seen = [batches.at(step) for step in range(4000)]
    assert all(labels is not None and int(x) == int(labels) for x, labels, _ in seen), "labels go with their examples"
    share = torch.bincount(torch.stack([x[0, 0] for x, *_ in seen])) / len(seen)
    assert torch.allclose(share.double(), weights / 8, atol=0.02)
    assert all(epoch(batches, number).count(3) == 2 for number in range(20))


def in_twos(n: int) -> GroupPartners:
    """Each odd number is the partner of the even one before it, and the other way round."""
    return GroupPartners.of(torch.arange(n) // 2, neighbours=False)


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(3, 20), seeds, st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_pairs_at_any_step(pairs: int, half: int, seed: int, steps: list[int]) -> None:
    n, batch_size = 2 * half, min(2 * pairs, 2 * half)
    plain = Batches(numbered(n), batch_size // 2, seed)
    sequential, direct = (Batches(numbered(n), batch_size, seed, partners=in_twos(n)) for _ in range(2))
    read = [sequential.at(step)[0] for step in range(max(steps) + 1)]
    assert sequential.steps_per_epoch == n // batch_size
    for step in steps:
        batch = direct.at(step)[0]
        assert torch.equal(batch, read[step])
        first, second = batch.chunk(2)
        assert torch.equal(first ^ 1, second)
        epoch_number, place = divmod(step, direct.steps_per_epoch)
        assert torch.equal(first, plain.at(epoch_number * plain.steps_per_epoch + place)[0])


def test_pairs_depend_on_seed_and_epoch() -> None:
    partners = GroupPartners.of(torch.zeros(30, dtype=torch.int64), neighbours=False)

    def pairs(seed: int, number: int) -> list[int]:
        return epoch(Batches(numbered(30), 10, seed, partners=partners), number)

    assert pairs(0, 0) == pairs(0, 0)
    assert len({tuple(pairs(seed, number)) for seed in (0, 1) for number in (0, 1)}) == 4


def test_labels_go_with_both_examples_of_a_pair() -> None:
    x, labels, _ = Batches(numbered(8), 4, 0, 10 * torch.arange(8), partners=in_twos(8)).at(1)
    assert labels is not None
    assert torch.equal(labels, 10 * x[:, 0])


def test_a_pair_is_two_examples() -> None:
    with pytest.raises(ConfigError, match=r"batch_size=5: dataset\.pairs makes pairs of it; expected an even number"):
        Batches(numbered(8), 5, 0, partners=in_twos(8))
