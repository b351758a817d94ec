"""A user's own arrays: every layout, labels and factors, splits, and bad files with a line each."""

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from hfvae_runner.data import Dataset
from hfvae_runner.data.arrays import arrays
from hfvae_runner.data.holdout import pruned
from hfvae_runner.errors import ConfigError, DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


def read(path: Path, **options: Any) -> Dataset:
    return arrays(**{"file": str(path), "root": str(path.parent / "cache"), "image_size": None, **options})


def saved(tmp_path: Path, name: str = "own.npz", **content: Any) -> Path:
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez(path, **content)
        return path
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            is_text = np.asarray(value).dtype.kind == "U"
            file.create_dataset(key, data=[str(each) for each in value] if is_text else value)
    return path


def whole(dataset: Dataset) -> torch.Tensor:
    """All examples, in no order."""
    parts = [split.x[torch.arange(len(split))] for split in (dataset.train, dataset.test)]
    return torch.cat(parts)


def same_examples(dataset: Dataset, expected: np.ndarray) -> None:
    found = whole(dataset).numpy().reshape(len(expected), -1)
    assert sorted(map(bytes, found)) == sorted(map(bytes, np.ascontiguousarray(expected).reshape(len(expected), -1)))


@pytest.mark.parametrize("name", ["own.npz", "own.h5"])
@pytest.mark.parametrize("layout", ["last", "first", "grey"])
def test_every_layout(name: str, layout: str, tmp_path: Path) -> None:
    given = {"last": IMAGES, "first": IMAGES.transpose(0, 3, 1, 2), "grey": IMAGES[..., 0]}[layout]
    dataset = read(saved(tmp_path, name, images=given))
    assert dataset.input_shape == ((1, 16, 16) if layout == "grey" else (3, 16, 16))
    assert (len(dataset.train), len(dataset.test), dataset.values) == (36, 4, "unit_interval")
    same_examples(dataset, IMAGES[..., :1].transpose(0, 3, 1, 2) if layout == "grey" else IMAGES.transpose(0, 3, 1, 2))
    assert dataset.train.x[torch.arange(2)].dtype == torch.uint8


def test_floats_stay_floats(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((12, 16, 16))
    dataset = read(saved(tmp_path, images=images))
    same_examples(dataset, images.astype(np.float32)[:, None])
    assert dataset.train.x[torch.arange(2)].dtype == torch.float32


def test_fortran_order_compression_and_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae_runner.data.arrays._PIECE", 3000)  # four images at once
    path = tmp_path / "own.npz"
    np.savez_compressed(path, images=np.asfortranarray(IMAGES))
    same_examples(read(path), IMAGES.transpose(0, 3, 1, 2))
    np.savez_compressed(path, images=IMAGES[:30])
    same_examples(read(path), IMAGES[:30].transpose(0, 3, 1, 2))


def test_images_are_resized(tmp_path: Path) -> None:
    dataset = read(saved(tmp_path, images=IMAGES[:, :, :12]), image_size=8)
    assert dataset.input_shape == (3, 8, 8)


def test_vectors(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 5))
    dataset = read(saved(tmp_path, vectors=vectors))
    assert (dataset.input_shape, dataset.values) == ((5,), "real")
    same_examples(dataset, vectors.astype(np.float32))


@pytest.mark.parametrize("name", ["own.npz", "own.h5"])
@pytest.mark.parametrize("key", ["label", "labels"])
def test_labels_of_words_and_numbers(name: str, key: str, tmp_path: Path) -> None:
    words = np.array(["b", "a"] * 20)
    dataset = read(saved(tmp_path, name, images=IMAGES, **{key: words}))
    assert dataset.label_names == ("a", "b")
    assert dataset.train.labels is not None and dataset.test.labels is not None
    # Stratified.
    assert torch.bincount(dataset.test.labels).tolist() == [2, 2]
    numbers = read(saved(tmp_path, name, images=IMAGES, **{key: np.arange(40) % 3 + 5.0}))
    assert numbers.label_names == ("5", "6", "7")


@pytest.mark.parametrize("floats", [False, True])
def test_images_of_bytes_and_of_floats_are_resized_alike(floats: bool, tmp_path: Path) -> None:
    dataset = read(saved(tmp_path, images=IMAGES / 255 if floats else IMAGES), image_size=8)
    found = whole(dataset).float() / (1 if floats else 255)
    assert found.shape == (40, 3, 8, 8) and found.min() >= 0 and found.max() <= 1
    assert found.mean().item() == pytest.approx(IMAGES.mean() / 255, abs=0.01)


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    images = np.zeros((30, 16, 16), np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None]
    dataset = read(saved(tmp_path, images=images, labels=np.arange(30) % 2, factors=np.arange(30)[:, None]))
    assert dataset.factors is not None and dataset.factors.names == ("factor[0]",)
    for split in (dataset.train, dataset.test):
        numbers = split.x[torch.arange(len(split))][:, 0, 0, 0].long()
        assert split.labels is not None and split.factors is not None
        assert torch.equal(split.labels, numbers % 2)
        assert torch.equal(split.factors[:, 0].long(), numbers)


def test_factors_need_be_no_grid_and_no_whole_numbers(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    factors = np.stack([np.tile([0.5, 2.0, -1.0, 7.5], 30), generator.random(120)], axis=1)
    images = np.repeat(IMAGES, 3, axis=0)
    path = saved(
        tmp_path, "own.h5", images=images, factors=factors, factor_names=np.array(["size", "angle"]),
        factor_nuisance=np.array([True, False]),
    )  # fmt: skip
    dataset = read(path, factor_bins=4)
    assert dataset.factors is not None
    assert (dataset.factors.names, dataset.factors.sizes) == (("size", "angle"), (4, 4))
    assert dataset.factors.nuisance == ("size",)
    assert dataset.notes["factor_bins"].startswith("angle in 4 bins of equal width")
    numbers = [split.magnitudes for split in (dataset.train, dataset.test) if split.magnitudes is not None]
    assert sorted(map(tuple, torch.cat(numbers).tolist())) == sorted(map(tuple, factors.tolist()))
    found = torch.cat([split.factors for split in (dataset.train, dataset.test) if split.factors is not None])
    edges = np.linspace(factors[:, 1].min(), factors[:, 1].max(), 5)
    expected = np.stack([np.tile([1, 2, 0, 3], 30), np.digitize(factors[:, 1], edges[1:-1])], axis=1)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))


def test_factors_that_count_from_0_need_no_numbers_of_their_own(tmp_path: Path) -> None:
    dataset = read(saved(tmp_path, images=IMAGES, factors=np.stack([np.arange(40) % 4, np.arange(40)], axis=1)))
    assert dataset.factors is not None and dataset.factors.sizes == (4, 40)
    assert dataset.train.magnitudes is None and "factor_bins" not in dataset.notes


def test_a_holdout_by_a_continuous_factor_is_by_its_numbers(tmp_path: Path) -> None:
    angles = np.random.default_rng(0).normal(size=(120, 1))
    path = saved(tmp_path, images=np.repeat(IMAGES, 3, axis=0), factors=angles, factor_names=["angle"])
    made = pruned(read(path), {"factor": "angle", "above": 0.25}, lambda folder, name: torch.empty(0))
    assert made.holdout is not None and made.holdout.magnitudes is not None and made.train.magnitudes is not None
    assert made.holdout.magnitudes.min() > 0.25 >= made.train.magnitudes.max()
    of_bin = pruned(read(path), {"factor": "angle", "equals": 5}, lambda folder, name: torch.empty(0))
    assert of_bin.holdout is not None and of_bin.holdout.factors is not None
    assert set(of_bin.holdout.factors[:, 0].tolist()) == {5}


def test_shapes3d_lays_out_its_factors_as_labels(tmp_path: Path) -> None:
    labels = np.stack([np.arange(40) % 10 / 10, np.arange(40) % 4], axis=1)
    dataset = read(saved(tmp_path, "own.h5", images=IMAGES, labels=labels))
    assert dataset.factors is not None and dataset.label_names is None
    assert (dataset.factors.names, dataset.factors.sizes) == (("factor[0]", "factor[1]"), (10, 4))


def test_the_split_is_fixed_and_a_test_file_replaces_it(tmp_path: Path) -> None:
    path = saved(tmp_path, images=IMAGES)
    one, again = (read(path, test_share=0.25) for _ in range(2))
    assert len(one.test) == 10
    assert torch.equal(one.test.x[torch.arange(10)], again.test.x[torch.arange(10)])
    other = read(path, test_share=0.25, split_seed=1)
    assert not torch.equal(one.test.x[torch.arange(10)], other.test.x[torch.arange(10)])
    apart = read(path, test_file=str(saved(tmp_path, "test.npz", images=IMAGES[:7])))
    assert (len(apart.train), len(apart.test)) == (40, 7)
    assert "test" not in apart.notes and apart.digest != one.digest
    assert len(read(path, subset=10).train) == 10


def test_the_images_stay_on_the_disk(tmp_path: Path) -> None:
    dataset = read(saved(tmp_path, images=IMAGES))
    assert dataset.train.x.to(torch.device("cpu")) is dataset.train.x
    (converted,) = (tmp_path / "cache" / "converted").glob("arrays-*.npy")
    before = converted.stat().st_mtime_ns
    read(tmp_path / "own.npz")
    assert converted.stat().st_mtime_ns == before


def with_objects(path: Path) -> None:
    np.savez(path, images=np.array([None] * 40, dtype=object))


def truncated(path: Path) -> None:
    np.savez(path, images=IMAGES)
    path.write_bytes(path.read_bytes()[:-2000])


def short_member(path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (40, 16, 16)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", stream.getvalue() + bytes(100))


def elsewhere(path: Path) -> None:
    """An array that another file holds."""
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["images"] = IMAGES
    with h5py.File(path, "w") as file:
        file["images"] = h5py.ExternalLink("other.h5", "images")


def raw_bytes_elsewhere(path: Path) -> None:
    (path.parent / "secret").write_bytes(IMAGES.tobytes())
    with h5py.File(path, "w") as file:
        external = [(str(path.parent / "secret"), 0, IMAGES.nbytes)]
        file.create_dataset("images", IMAGES.shape, np.uint8, external=external)


def virtual(path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["images"] = IMAGES
    layout = h5py.VirtualLayout(IMAGES.shape, np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "images", IMAGES.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("images", layout)


def beyond_memory(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("vectors", (10**10, 10**5), np.float32, chunks=(1, 1000))


BAD = {
    "wrong keys": ({"pictures": IMAGES, "y": 0}, "holds pictures, y; expected images or vectors"),
    "both": ({"images": IMAGES, "vectors": np.zeros((40, 2))}, "expected images or vectors"),
    "NaN": ({"images": np.where(np.arange(2304).reshape(9, 16, 16) == 3, np.nan, 0.5)}, "NaN or infinity"),
    "range": ({"images": IMAGES.astype(float)}, "values from 0 to 255; expected uint8, or floats from 0 to 1"),
    "constant": ({"images": np.full((9, 16, 16), 7, np.uint8)}, "every value of images is 7"),
    "type": ({"images": IMAGES.astype(np.int32)}, "images of type int32; expected uint8"),
    "text": ({"images": np.full((9, 16, 16), "a")}, "images of type <U1"),
    "shape": ({"images": IMAGES[0, 0]}, r"images of shape \[16, 3\]; expected \[N, H, W\]"),
    "channels": ({"images": np.zeros((4, 9, 9, 9), np.uint8)}, "at most 4 channels"),
    "empty": ({"images": IMAGES[:0]}, "expected .* one example or more"),
    "oblong": ({"images": IMAGES[:, :8]}, "images of 8×16 pixels; expected square ones, or image_size=S"),
    "one": ({"images": IMAGES[:1]}, "holds 1 examples; expected 4 or more"),
    "label text": ({"images": IMAGES, "label": ["a"] * 39 + [""]}, "the label of row 39 is empty"),
    "same names": ({"images": IMAGES, "factors": np.zeros((40, 2)), "factor_names": ["a", "a"]}, "different names"),
    "no factors": ({"images": IMAGES, "factors": np.zeros((40, 0))}, r"factors of shape \[40, 0\]"),
    "few": ({"images": IMAGES[:3]}, "holds 3 examples; expected 4 or more"),
    "vectors": ({"vectors": np.zeros(5)}, r"vectors of type float64 and shape \[5\]"),
    "vector NaN": ({"vectors": np.full((9, 2), np.nan)}, "vectors holds NaN or infinity"),
    "label for some": ({"images": IMAGES, "label": np.r_[np.ones(39), np.nan]}, "1 of 40 rows have no label"),
    "label rows": ({"images": IMAGES, "label": np.arange(39)}, r"labels of shape \[39\]; expected \[40\]"),
    "one class": ({"images": IMAGES, "label": np.ones(40, int)}, "every label .* is 1; expected two classes"),
    "odd labels": ({"images": IMAGES, "label": np.arange(40) / 3}, "labels that are not whole numbers"),
    "two labels": ({"images": IMAGES, "label": np.ones(40), "labels": np.ones(40)}, "label and labels; expected one"),
    "factor rows": ({"images": IMAGES, "factors": np.zeros((39, 2))}, r"shape \[39, 2\]; expected \[40, 2\]"),
    "factor names": ({"images": IMAGES, "factors": np.zeros((40, 2)), "factor_names": ["a"]}, "1 factor_names"),
    "factor NaN": ({"images": IMAGES, "factors": np.full((40, 1), np.nan)}, r"factor .factor\[0\]. is missing in row"),
    "factors twice": ({"images": IMAGES, "labels": np.zeros((40, 2)), "factors": np.zeros((40, 2))}, "expected one of"),
    "factor text": ({"images": IMAGES, "factors": np.full((40, 1), "a")}, "factors of type <U1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_content(case: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    path = saved(tmp_path, **content)
    with pytest.raises(DataError, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    assert not list((tmp_path / "cache").rglob("arrays-*.npy")) or case in GOOD_IMAGES


GOOD_IMAGES = {name for name, (content, _) in BAD.items() if content.get("images") is IMAGES} | {"one", "few"}
"""Their images are converted before what stands beside them is refused."""


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (
            with_objects,
            "own.npz",
            "images holds Python objects, as it does of examples of mixed sizes; expected numbers",
        ),
        (truncated, "own.npz", "cannot be read"),
        (short_member, "own.npz", r"images is cut off: uint8 of shape \[40, 16, 16\] in 228 bytes"),
        (elsewhere, "own.h5", "holds no arrays; expected images or vectors"),
        (raw_bytes_elsewhere, "own.h5", "images is stored in another file"),
        (virtual, "own.h5", "images is stored in another file"),
        (beyond_memory, "own.h5", "cannot be read .*[Uu]nable to allocate"),
        (lambda path: path.write_text("no archive"), "own.npz", "cannot be read .*expected an .npz file"),
        (lambda path: path.write_text("no archive"), "own.h5", "cannot be read .*expected an .h5 file"),
        (lambda path: path.write_text("no archive"), "own.txt", "expected a file that ends in .npz, .h5 or .hdf5"),
        (lambda path: path.mkdir(), "own.npz", "is a folder; expected a file of arrays"),
        (lambda path: None, "own.npz", "is missing; expected a file of arrays"),
    ],
)
def test_bad_files(make: Any, name: str, message: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": None}, "dataset.file is null"),
        ({"test_share": 1.0}, "dataset.test_share=1"),
        ({"test_share": True}, "dataset.test_share=true: expected a number"),
        ({"split_seed": "x"}, "dataset.split_seed='x': expected a whole number"),
        ({"file": 3}, "dataset.file=3: expected some text, or null"),
        ({"factor_bins": 1}, "dataset.factor_bins=1"),
        ({"factor_bins": 2.5}, "dataset.factor_bins=2.5: expected a whole number"),
        ({"image_size": 2}, "image_size=2"),
        ({"subset": 100}, "dataset.subset=100"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, images=IMAGES, factors=np.zeros((40, 1)))
    with pytest.raises(ConfigError, match=message):
        read(path, **options)


def test_a_test_file_that_is_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path, images=IMAGES)
    with pytest.raises(DataError, match=r"holds the same bytes as .*; expected other examples to test on"):
        read(path, test_file=str(path))


def test_a_test_file_of_other_examples(tmp_path: Path) -> None:
    path = saved(tmp_path, images=IMAGES)
    for content, message in (
        ({"images": IMAGES[..., 0]}, r"examples of shape \[1, 16, 16\] of type uint8; expected \[3, 16, 16\]"),
        ({"images": IMAGES / 255}, r"of type float32; expected \[3, 16, 16\] of type uint8"),
        ({"images": IMAGES, "label": np.arange(40) % 2}, "do not have the same labels"),
    ):
        with pytest.raises(DataError, match=message):
            read(path, test_file=str(saved(tmp_path, "test.npz", **content)))
