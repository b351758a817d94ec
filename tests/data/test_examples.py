import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from hfvae_runner.data import Examples, PackedBits, SparseCounts
from hfvae_runner.data._examples import Drawn, Rows, take
from hfvae_runner.data._images import on_disk, save_array
from hfvae_runner.errors import DataError

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
SEEDS = st.integers(0, 2**31)


def binary(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randint(2, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def counts(rows: int, words: int, seed: int) -> np.ndarray:
    """Mostly zeros, some rows of zeros alone."""
    generator = np.random.default_rng(seed)
    return generator.poisson(0.3, (rows, words)) * generator.integers(0, 2, (rows, 1))


def chosen(n: int, seed: int) -> torch.Tensor:
    """In any order, with repetitions."""
    return torch.randint(n, (2 * n,), generator=torch.Generator().manual_seed(seed))


def brightened(images: torch.Tensor, by: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
    return torch.minimum(images // 2 + by[:, None, None, None], most)


def drawn() -> Drawn:
    parts = [PackedBits.pack(binary((20, 1, 3, 5), 1)), torch.arange(20, dtype=torch.uint8)]
    return Drawn(brightened, (1, 3, 5), parts, [torch.tensor(140, dtype=torch.uint8)])


@given(SHAPES, SEEDS)
def test_unpacked_bits_are_the_images(shape: tuple[int, ...], seed: int) -> None:
    images = binary(shape, seed)
    packed = PackedBits.pack(images)
    index = chosen(shape[0], seed)
    assert packed.shape == tuple(images.shape)
    assert len(packed) == shape[0]
    assert packed[index].dtype == torch.uint8
    assert torch.equal(packed[index], 255 * images[index])


def test_an_image_takes_an_eighth() -> None:
    packed = PackedBits.pack(binary((5, 1, 64, 64), 0))
    assert packed.packed.shape == (5, 512)
    assert packed.nbytes == 5 * 512
    assert packed.packed.dtype == torch.uint8


def test_the_first_pixel_is_the_highest_bit() -> None:
    packed = torch.tensor([[0b10000010, 0b01000000]], dtype=torch.uint8)
    assert PackedBits(packed, (1, 2, 5))[torch.tensor([0])].tolist() == [[[[255, 0, 0, 0, 0], [0, 255, 0, 0, 255]]]]


def test_bits_that_do_not_hold_the_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="do not hold"):
        PackedBits(torch.zeros(3, 511, dtype=torch.uint8), (1, 64, 64))
    with pytest.raises(ValueError, match="do not hold"):
        PackedBits(torch.zeros(3, 512), (1, 64, 64))


@given(st.integers(1, 9), st.integers(1, 20), SEEDS)
def test_sparse_counts_are_the_matrix(rows: int, words: int, seed: int) -> None:
    matrix = counts(rows, words, seed)
    sparse = SparseCounts.from_scipy(csr_matrix(matrix))
    index = chosen(rows, seed)
    assert sparse.shape == matrix.shape
    assert sparse[index].dtype == torch.float32
    assert np.array_equal(sparse[index].numpy(), matrix[index.numpy()])


def test_entries_that_stand_twice_are_added() -> None:
    twice = csr_matrix((np.array([1, 2, 4]), np.array([3, 3, 0]), np.array([0, 3])), shape=(1, 5))
    assert SparseCounts.from_scipy(twice)[torch.tensor([0])].tolist() == [[4, 0, 0, 3, 0]]


def test_starts_that_do_not_fit_are_refused() -> None:
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="1 columns and 1 counts; expected"):
        SparseCounts(torch.tensor([0, 2]), one, torch.ones(1), 4)


@pytest.mark.parametrize(
    "examples",
    [
        binary((20, 1, 3, 5), 1),
        PackedBits.pack(binary((20, 1, 3, 5), 1)),
        SparseCounts.from_scipy(csr_matrix(counts(20, 9, 1))),
        drawn(),
    ],
    ids=["tensor", "bits", "counts", "drawn"],
)
def test_a_part_is_stored_as_the_whole(examples: Examples) -> None:
    index = torch.tensor([7, 3, 3, 19])
    part = take(examples, index)
    assert type(part) is type(examples)
    assert part.shape == (4, *examples.shape[1:])
    again = torch.tensor([2, 0])
    assert torch.equal(part[again], examples[index[again]])


@pytest.mark.parametrize("device", ["cpu", "cuda:0"] if torch.cuda.is_available() else ["cpu"])
def test_examples_move_to_a_device(device: str) -> None:
    index = chosen(20, 2)
    stored: list[Examples] = [
        PackedBits.pack(binary((20, 1, 3, 5), 1)),
        SparseCounts.from_scipy(counts(20, 9, 1)),
        drawn(),
    ]
    for examples in stored:
        moved = examples.to(torch.device(device))
        there = index.to(device)
        assert moved.device == moved[there].device == torch.device(device)
        assert torch.equal(moved[there].cpu(), examples[index])
        assert torch.equal(take(moved, there)[there].cpu(), examples[index][index])


def test_rows_of_a_tensor_are_not_copied() -> None:
    x = torch.arange(40).reshape(10, 2, 2)
    rows = Rows(x, torch.tensor([7, 1, 4]))
    assert (rows.shape, len(rows)) == ((3, 2, 2), 3)
    assert torch.equal(rows[torch.tensor([2, 0])], x[[4, 7]])
    assert torch.equal(take(rows, torch.tensor([1, 2]))[torch.tensor([0, 1])], x[[1, 4]])
    assert rows.to(torch.device("cpu")) is rows
    x[7] = 0
    assert rows[torch.tensor([0])].sum() == 0


def test_rows_know_their_size() -> None:
    rows = Rows(torch.zeros(10, 2, 3, dtype=torch.float32))
    assert (rows.nbytes, rows.dtype, len(rows)) == (240, torch.float32, 10)
    assert rows.take(torch.tensor([3, 3, 1])).nbytes == 72


@given(st.integers(1, 9), st.sampled_from([np.uint8, np.float32]), SEEDS)
def test_rows_of_a_file_are_those_of_the_array(n: int, dtype: type, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 256, (n, 2, 3)).astype(dtype)
    index = chosen(n, seed)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "a.npy", array)
        rows = on_disk(Path(folder) / "a.npy", array.shape, dtype)
        here = Rows(torch.from_numpy(array))
        assert (rows.shape, rows.dtype, rows.nbytes) == (here.shape, here.dtype, here.nbytes)
        for one, other in ((rows, here), (take(rows, index), take(here, index))):
            assert torch.equal(one[index], other[index])
            assert one[index[:0]].shape == (0, 2, 3)


def test_what_has_been_read_of_a_file_is_not_held(tmp_path: Path) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system does not tell how much memory a process has")

    def resident() -> int:
        return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if "VmRSS" in line)

    save_array(tmp_path / "a.npy", (8000, 1 << 14), (np.full((1000, 1 << 14), k, np.uint8) for k in range(8)))
    rows = on_disk(tmp_path / "a.npy", (8000, 1 << 14))
    parts = torch.arange(8000).split(100)
    # No sum: its buffers of eight times the size stay with the allocator, and would count as held.
    first = int(rows[parts[0]][0, 0])
    before = resident()
    seen = [first, *(int(rows[index][-1, -1]) for index in parts[1:])]
    assert seen == [k for k in range(8) for _ in range(10)]
    assert resident() - before < 1 << 25, "a quarter of the 131 MB"


def test_a_file_that_is_cut_off_meanwhile_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 100), np.uint8))
    rows = on_disk(tmp_path / "a.npy", (10, 100))
    os.truncate(tmp_path / "a.npy", 500)
    assert rows[torch.tensor([0])].sum() == 0
    with pytest.raises(DataError, match=r"a.npy has been cut off; expected 10 examples: remove it"):
        rows[torch.tensor([0, 9])]


def test_rows_are_copied_to_another_device_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae_runner.data._examples._PIECE", 2)
    rows = Rows(torch.arange(10, dtype=torch.uint8)[:, None], torch.tensor([7, 1, 4]))
    copied = rows.to(torch.device("meta"))
    assert (copied.shape, copied.device.type, copied[torch.tensor([0])].dtype) == ((3, 1), "meta", torch.uint8)


def test_images_are_drawn_from_the_rows_of_every_part() -> None:
    images = drawn()
    assert (images.shape, len(images), images.device.type) == ((20, 1, 3, 5), 20, "cpu")
    expected = (127 * binary((20, 1, 3, 5), 1) + torch.arange(20, dtype=torch.uint8)[:, None, None, None]).clamp_max(
        140
    )
    assert torch.equal(images[torch.tensor([19, 4])], expected[[19, 4]])
