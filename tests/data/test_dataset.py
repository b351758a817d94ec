import pytest
import torch
from torch import Tensor

from hfvae_runner.data._dataset import Dataset, Split, as_float, reduced, resized, subset, without_split
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError


def test_bytes_become_shares_of_255() -> None:
    x = as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert x.tolist() == pytest.approx([0, 0.2, 1])


def test_floats_stay_as_they_are() -> None:
    x = torch.randn(3, generator=torch.Generator().manual_seed(0))
    assert as_float(x) is x


def test_resizing_in_pieces_is_resizing_at_once() -> None:
    images = torch.randint(256, (4100, 1, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    large = resized(images, 7)
    assert large.shape == (4100, 1, 7, 7)
    assert torch.equal(large[4096:], resized(images[4096:], 7))


def test_resizing_keeps_extremes_and_flat_areas() -> None:
    flat = torch.tensor([0, 17, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 28, 28)
    assert torch.equal(resized(flat, 32), flat[:, :, :1, :1].expand(3, 1, 32, 32))
    assert torch.equal(resized(flat, 8), flat[:, :, :1, :1].expand(3, 1, 8, 8))


def test_the_same_size_and_none_leave_the_images_alone() -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert resized(images, None) is images
    assert resized(images, 8) is images


def test_resizing_interpolates_linearly() -> None:
    """A ramp from 0 to 240 in four steps, twice as large: halfway values between pixel centres."""
    ramp = torch.tensor([0, 80, 160, 240], dtype=torch.uint8).expand(1, 1, 4, 4)
    assert resized(ramp, 8)[0, 0, 0].tolist() == [0, 20, 60, 100, 140, 180, 220, 240]


GRID = Grid(("a", "b"), (30, 500))


def everything() -> Split:
    """The cells of a grid, each example its own number."""
    index = torch.arange(len(GRID))
    factors = GRID.to_factors(index).short()
    return Split(index[:, None].float(), factors[:, 0].long(), factors, factors % 2 == 0)


def numbers(split: Split) -> Tensor:
    return split.x[torch.arange(len(split))][:, 0].long()


def test_a_subset_keeps_what_is_known_of_its_examples() -> None:
    split = everything()
    part = subset(split, 100)
    chosen = numbers(part)
    assert len(chosen.unique()) == len(part) == 100
    assert torch.equal(chosen, chosen.sort().values)
    assert part.labels is not None and part.factors is not None and part.attributes is not None
    assert torch.equal(part.factors, GRID.to_factors(chosen).short())
    assert torch.equal(part.labels, part.factors[:, 0].long())
    assert torch.equal(part.attributes, part.factors % 2 == 0)


def test_a_subset_is_random_and_the_same_every_time() -> None:
    split = everything()
    torch.manual_seed(5)
    first = numbers(subset(split, 1000))
    torch.manual_seed(6)
    assert torch.equal(first, numbers(subset(split, 1000)))
    # The mean of 1,000 of 0 to 14,999 without replacement has the standard deviation 132.
    assert abs(first.double().mean().item() - 7499.5) < 600
    assert set(numbers(subset(split, 10)).tolist()) <= set(first.tolist())
    assert subset(split, len(split)) is split


def test_a_reduced_data_set_says_so() -> None:
    dataset = Dataset(everything(), subset(everything(), 200), "real", notes={"made": "here"})
    assert reduced(dataset, None) is dataset
    small = reduced(dataset, 150)
    assert (len(small.train), len(small.test)) == (150, 150)
    assert small.notes == {
        "made": "here",
        "subset": "150 random examples of 15,000 to train on, 150 of 200 to test",
    }
    larger = reduced(dataset, 5000)
    assert (len(larger.train), len(larger.test)) == (5000, 200)


@pytest.mark.parametrize("n", [0, -1, 15_001, 2.0, "3", True])
def test_a_subset_that_is_none_is_refused(n: object) -> None:
    expected = r"dataset.subset=.*: expected a number of training examples from 1 to 15000, or null"
    with pytest.raises(ConfigError, match=expected):
        reduced(Dataset(everything(), everything(), "real"), n)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=expected):
        without_split(everything(), "real", GRID, n)  # type: ignore[arg-type]


def test_without_a_split_all_are_trained_on_and_some_tested() -> None:
    dataset = without_split(everything(), "real", GRID, None, {"made": "here"}, label_names=("x", "y"))
    assert (len(dataset.train), len(dataset.test), dataset.factors) == (15_000, 10_000, GRID)
    assert len(numbers(dataset.test).unique()) == 10_000
    assert dataset.label_names == ("x", "y")
    assert dataset.notes == {
        "made": "here",
        "test": "10,000 random examples of the training set: the papers train on all images",
    }


def test_a_subset_without_a_split_is_tested_on_its_own_examples() -> None:
    dataset = without_split(everything(), "real", GRID, 12_000)
    assert (len(dataset.train), len(dataset.test)) == (12_000, 10_000)
    assert set(numbers(dataset.test).tolist()) <= set(numbers(dataset.train).tolist())
    assert dataset.notes["subset"] == "12,000 random examples of 15,000"
    assert len(without_split(everything(), "real", GRID, 7).test) == 7
