import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from published import png_of, random_bytes

from hfvae_runner.data._dataset import resized
from hfvae_runner.data._images import data_root, in_batches, mapped, pixels, read_image, save_array
from hfvae_runner.errors import ConfigError, DataError


def smooth(width: int, height: int) -> np.ndarray:
    """[H, W, 3]."""
    down, right = np.mgrid[:height, :width]
    return np.stack([down % 256, right % 256, (down + right) % 256], axis=2).astype(np.uint8)


def write(file: Path, values: np.ndarray, kind: str = "PNG") -> Path:
    Image.fromarray(values).save(file, format=kind, quality=95)
    return file


def read(file: Path, kind: str = "PNG", *, crop: int = 40, side: int = 40, colour: bool = True) -> np.ndarray:
    return read_image(file, kind, (60, 40), crop=crop, side=side, colour=colour)


def test_the_middle_is_cut_out(tmp_path: Path) -> None:
    values = smooth(60, 40)
    file = write(tmp_path / "a.png", values)
    assert np.array_equal(read(file), values[:, 10:50].transpose(2, 0, 1))
    assert np.array_equal(read(file, crop=20, side=20), values[10:30, 20:40].transpose(2, 0, 1))


def test_resizing_has_antialiasing(tmp_path: Path) -> None:
    """A chessboard of pixels is flat at half the size, as it is not without; within one level of ``resized``."""
    board = np.zeros((40, 60, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    small = read(write(tmp_path / "a.png", board), side=20)
    assert small.shape == (3, 20, 20)
    assert np.abs(small.astype(int) - 127.5).max() < 3
    noise = random_bytes(40, 60, 3)
    ours = read(write(tmp_path / "b.png", noise), side=16).astype(int)
    theirs = resized(torch.from_numpy(noise[:, 10:50].transpose(2, 0, 1).copy())[None], 16)[0].numpy()
    assert np.abs(ours - theirs).max() <= 1


def test_grey_is_the_luminance(tmp_path: Path) -> None:
    """ITU-R 601: 0.299 red, 0.587 green, 0.114 blue."""
    values = smooth(60, 40)
    grey = read(write(tmp_path / "a.png", values), colour=False)
    assert grey.shape == (1, 40, 40)
    assert np.abs(grey[0] - values[:, 10:50] @ np.array([0.299, 0.587, 0.114])).max() < 1


def test_a_jpeg_image_is_read(tmp_path: Path) -> None:
    values = smooth(60, 40)
    file = write(tmp_path / "a.jpg", values, "JPEG")
    assert np.abs(read(file, "JPEG").astype(int) - values[:, 10:50].transpose(2, 0, 1)).mean() < 5


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(random_bytes(40, 60, 3)).save(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("spoil", ["cut", "empty", "html", "start", "other kind"])
def test_a_damaged_image_is_named(spoil: str, kind: str, tmp_path: Path) -> None:
    content = encoded(kind)
    (tmp_path / "bad").write_bytes(
        {
            "cut": content[: len(content) // 2],
            "empty": b"",
            "html": b"<html>404</html>" * 20,
            "start": b"\0\0\0\0" + content[4:],
            "other kind": encoded("JPEG" if kind == "PNG" else "PNG"),
        }[spoil]
    )
    with pytest.raises(DataError, match=f"bad is malformed .*; expected a {kind} image of 60×40 pixels") as refusal:
        read(tmp_path / "bad", kind)
    assert "\n" not in str(refusal.value)


def test_an_image_of_another_size_is_named_before_it_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png_of(9000, 9000))
    with pytest.raises(DataError, match=r"large.png has 9000×9000 pixels; expected a PNG image of 60×40 pixels"):
        read(tmp_path / "large.png")


def test_files_are_read_in_their_order(tmp_path: Path) -> None:
    files = [tmp_path / str(i) for i in range(1100)]
    batches = list(in_batches(files, lambda file: np.full((1, 2, 2), int(file.name) % 256, np.uint8)))
    assert max(map(len, batches)) <= 512
    assert np.concatenate(batches)[:, 0, 0, 0].tolist() == [i % 256 for i in range(1100)]


def test_an_array_of_pieces_is_what_numpy_writes(tmp_path: Path) -> None:
    array = random_bytes(10, 3, 4)
    save_array(tmp_path / "a.npy", array.shape, [array[:4], array[4:5], array[5:]])
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), array)
    tensor = mapped(tmp_path / "a.npy", array.shape)
    assert np.array_equal(tensor.numpy(), array)
    tensor.zero_()
    assert np.array_equal(mapped(tmp_path / "a.npy", array.shape).numpy(), array)


def test_another_array_is_not_mapped(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, random_bytes(10, 3))
    with pytest.raises(DataError, match=r"a.npy holds uint8 of shape \(10, 3\); expected bytes of shape \(10, 4\)"):
        mapped(file, (10, 4))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a.npy is malformed .*; expected bytes of shape \(10, 3\)"):
        mapped(file, (10, 3))


@pytest.mark.parametrize("value", [3, 65, 8.0, "8", True, None])
def test_pixels_in_a_range(value: object) -> None:
    with pytest.raises(ConfigError, match=r"dataset.crop=.*: expected a whole number of pixels from 4 to 64"):
        pixels("dataset.crop", value, most=64)


def test_a_root_is_a_name() -> None:
    assert data_root("data") == Path("data")
    with pytest.raises(ConfigError, match=r"dataset.root=3: expected the name of a folder"):
        data_root(3)
