"""Files of representations: what is read, and one line about what is not."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from representations import arrays, csv, npz

from hfvae_runner.errors import DataError
from hfvae_runner.evaluation.representation_file import Contents, read


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_both_kinds_of_file_hold_the_same(tmp_path: Path) -> None:
    content = arrays()
    one, other = read(npz(tmp_path / "a.npz", content)), read(csv(tmp_path / "a.csv", content))
    assert one.ignored == other.ignored == ()
    for key, expected in content.items():
        if key != "class_probabilities":
            assert (one.arrays[key] == expected).all() and (other.arrays[key] == expected).all(), key
    assert (other.arrays["class_probabilities/class"] == one.arrays["class_probabilities"]).all()


def test_columns_stand_in_any_order_and_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeffscale/b,image,mean/b,factor/x y,mean/a,scale/a\n1,cat.png,2,3.5,4,5\n\n6,,7,8,9,1e-3\n\n", "utf-8"
    )
    contents = read(path)
    assert contents.ignored == ("image",)
    assert contents.arrays["names"].tolist() == ["b", "a"]
    assert contents.arrays["mean"].tolist() == [[2, 4], [7, 9]]
    assert contents.arrays["scale"].tolist() == [[1, 5], [6, 0.001]]
    assert contents.arrays["factors"].tolist() == [[3.5], [8]]
    assert contents.arrays["factor_names"].tolist() == ["x y"]


def test_keys_of_other_kinds_are_named_and_not_loaded(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", {"mean": np.zeros((2, 1)), "lable": [1, 2], "notes": np.array([{}, 3])})
    contents = read(path)
    assert (list(contents.arrays), contents.ignored) == (["mean"], ("lable", "notes"))


def test_arrays_in_columns_first_order_and_of_compressed_files(tmp_path: Path) -> None:
    mean = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    np.savez_compressed(tmp_path / "a.npz", mean=mean, label=np.arange(4, dtype=np.uint8))
    contents = read(tmp_path / "a.npz")
    assert (contents.arrays["mean"] == mean).all()
    assert contents.arrays["label"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("missing.npz", ["missing.npz is missing", "expected a file, .npz or .csv"]),
        ("folder.npz", ["is a folder", "expected a file"]),
        ("empty.npz", ["is empty", "at least mean"]),
        ("empty.csv", ["is empty", "at least mean"]),
        ("codes.npy", ["ends in '.npy'", "expected .npz or .csv"]),
        ("text.npz", ["is damaged or no .npz file", "not a zip file"]),
        ("keys.npz", ["has no mean, but means, sigma", "did you mean 'means'"]),
        ("nothing.npz", ["has no mean, but nothing"]),
        ("objects.npz", ["objects.npz: label holds Python objects", "expected numbers"]),
        ("cut.npz", ["cut.npz: mean is cut off", "shape (1000, 1000) in"]),
        ("half.npz", ["is damaged or no .npz file"]),
        ("header.csv", ["has no column mean/NAME, but a, b", "scale/NAME"]),
        ("twice.csv", ["has two columns 'mean/a'"]),
        ("missing.csv", ["line 3, column scale/a, has no value; expected a finite number"]),
        ("na.csv", ["line 2, column mean/a, has 'NA'"]),
        ("short.csv", ["line 3 has 1 cells; expected 2"]),
        ("long.csv", ["line 3 has 3 cells; expected 2"]),
        ("words.csv", ["line 3, column label, has 'cat'; expected a finite number"]),
        ("infinite.csv", ["line 2, column mean/a, has 'inf'"]),
        ("lone.csv", ["has a column mean/b and no scale/b"]),
        ("stray.csv", ["has a column scale/b and no mean/b"]),
        ("binary.csv", ["is no .csv file"]),
    ],
)
def test_a_bad_file_has_one_line(name: str, parts: list[str], tmp_path: Path) -> None:
    line = refusal(BAD[name](tmp_path / name))
    for part in [name, *parts]:
        assert part in line, line


def _text(content: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_text(content)
        return path

    return write


def _bytes(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _arrays(**content: Any) -> Callable[[Path], Path]:
    return lambda path: npz(path, content)


def _with_header(shape: tuple[int, ...]) -> bytes:
    stream, archive = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("mean.npy", stream.getvalue() + bytes(80))
    return archive.getvalue()


def _half(path: Path) -> Path:
    whole = npz(path, arrays()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


BAD: dict[str, Callable[[Path], Path]] = {
    "missing.npz": lambda path: path,
    "folder.npz": _folder,
    "empty.npz": _bytes(b""),
    "empty.csv": _bytes(b""),
    "codes.npy": _bytes(b"x"),
    "text.npz": _text("mean\n1\n"),
    "keys.npz": _arrays(means=np.zeros((2, 2)), sigma=np.zeros(2)),
    "nothing.npz": _arrays(),
    "objects.npz": _arrays(mean=np.zeros((2, 2)), label=np.array([None, 1])),
    "cut.npz": _bytes(_with_header((1000, 1000))),
    "half.npz": _half,
    "header.csv": _text("a,b\n1,2\n"),
    "twice.csv": _text("mean/a,mean/a\n1,2\n"),
    "missing.csv": _text("mean/a,scale/a\n1,2\n1,\n"),
    "na.csv": _text("mean/a,scale/a\nNA,2\n1,3\n"),
    "short.csv": _text("mean/a,scale/a\n1,2\n1\n"),
    "long.csv": _text("mean/a,scale/a\n1,2\n1,2,3\n"),
    "words.csv": _text("mean/a,label\n1,2\n1,cat\n"),
    "infinite.csv": _text("mean/a,label\ninf,2\n1,1\n"),
    "lone.csv": _text("mean/a,mean/b,scale/a\n1,2,3\n"),
    "stray.csv": _text("mean/a,scale/a,scale/b\n1,2,3\n"),
    "binary.csv": _bytes(bytes(range(256))),
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_never_ends_in_a_traceback(place: float, value: int, tmp_path: Path) -> None:
    content = bytearray(npz(tmp_path / "a.npz", {"mean": np.ones((3, 2)), "label": [0, 1, 1]}).read_bytes())
    content[int(place * len(content))] = value
    path = tmp_path / "changed.npz"
    path.write_bytes(content)
    try:
        assert isinstance(read(path), Contents)
    except DataError as error:
        assert "\n" not in str(error)
