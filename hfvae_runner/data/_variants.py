"""Variants of dSprites in colour: the sprite or its background is drawn at random (Locatello et al. 2019).

What is drawn depends on the image's number in dSprites alone, so that every image has one picture: in each batch,
epoch, split, part and process, on each device. (In the authors' code, google-research/disentanglement_lib, an image is
drawn anew whenever it is asked for.) The distributions are theirs, on whole numbers from 0 to 255.

Shapes: B images.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hfvae_runner.config.validation import checked
from hfvae_runner.data._download import digest_of
from hfvae_runner.data._examples import Drawn, Examples, PackedBits
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._images import DAMAGE, data_root
from hfvae_runner.errors import DataError

Variant = Literal["colour", "noisy", "scream"]

SCREAM = RemoteFile(
    "scream/scream.jpg",
    # The address in the authors' dlib_download_data.sh. No checksum was published with it.
    urls=("https://upload.wikimedia.org/wikipedia/commons/f/f4/The_Scream.jpg",),
    limit=2**28,
)
VERSIONS: Mapping[str, RemoteFile] = {"scream": SCREAM}
NOTES: Mapping[Variant, str] = {
    "colour": "the sprite is in a random colour, each channel from 128 to 255, on black",
    "noisy": "the sprite is white on random noise, each value from 0 to 255",
    "scream": "the sprite inverts its background, a random part of an image that is mixed with a random colour",
}
_SIDE = 64
_SHAPE = (3, _SIDE, _SIDE)
# The image of which a part is the background is reduced to this (width, height) beforehand.
_SCREAM_SIZE = (350, 274)
_SCREAM_MOST_PIXELS = 2**26
# Words of 32 random bits that an image may use. 737,280 images have less than 2³² words in all: no two share one.
_WORDS = 4096
# So that the first image does not start at 0, which the hash leaves as it is.
_START = 0x3C6EF372


def varied(
    sprites: PackedBits, variant: Variant | None, *, root: str | None, dataset: str, download: bool
) -> tuple[Examples, dict[str, str], str | None]:
    """Return the images of a variant, drawn on request.

    Args:
        sprites: all of dSprites' images, [N, 1, 64, 64], in the published order.
        variant: None for the sprites themselves.
        root: the folder that holds scream/scream.jpg, ``data_root``; only read for ``scream``.
        dataset: the data set's name on the command line.
        download: whether a missing image may be fetched.

    Returns:
        The images, [N, 3, 64, 64]; what the results say about them; and the SHA-256 of the file that they need.

    Raises:
        ConfigError: there is no such variant, or ``root`` or ``download`` is out of range.
        DataError: the image is missing or cannot be used.
    """
    if checked(Variant | None, variant, "dataset.variant") is None:
        return sprites, {}, None
    assert variant is not None
    draw: Mapping[Variant, Callable[..., Tensor]] = {"colour": _colour, "noisy": _noisy, "scream": _scream}
    shared: Sequence[Tensor] = ()
    digest = None
    if variant == "scream":
        (file,) = ensure(data_root(root), [SCREAM], dataset=f"{dataset}=scream", download=download)
        shared, digest = [_background(file)], digest_of(file, "sha256")
    numbers = torch.arange(len(sprites), dtype=torch.int32)
    return Drawn(draw[variant], _SHAPE, [sprites, numbers], shared), {"variant": NOTES[variant]}, digest


def _colour(sprites: Tensor, numbers: Tensor) -> Tensor:
    """Draw U(0.5, 1) for each channel of an image: sprites uint8 [B, 1, 64, 64] -> [B, 3, 64, 64]."""
    colours = random_bytes(numbers, 3) | 128
    return sprites & colours[:, :, None, None]


def _noisy(sprites: Tensor, numbers: Tensor) -> Tensor:
    """Draw U(0, 1) for each value of an image's background: [B, 1, 64, 64] -> [B, 3, 64, 64]."""
    return sprites | random_bytes(numbers, 3 * _SIDE * _SIDE).view(-1, *_SHAPE)


def _scream(sprites: Tensor, numbers: Tensor, image: Tensor) -> Tensor:
    """Draw the place of a background and a colour U(0, 1), of which it is the mean; the sprite is its negative.

    Args:
        sprites: uint8 [B, 1, 64, 64].
        numbers: int32 [B], the images' numbers in dSprites.
        image: uint8 [3, H, W].

    Returns:
        Images, uint8 [B, 3, 64, 64].
    """
    words = _words(numbers, 3).long() & 0x7FFFFFFF
    # Every part of the image, [H − 63, W − 63, 3, 64, 64], as a view.
    parts = image.unfold(1, _SIDE, 1).unfold(2, _SIDE, 1).movedim(0, 2)
    # Like the authors, who draw from 0 to below H − 64, except where that would leave no place.
    top, left = (words[:, k] % max(parts.shape[k] - 1, 1) for k in range(2))
    background = parts[top, left]
    colours = (words[:, 2, None] >> torch.tensor([0, 8, 16], device=numbers.device)).to(torch.uint8)[:, :, None, None]
    # The mean, rounded down, in bytes.
    mixed = (background & colours) + ((background ^ colours) >> 1)
    return mixed ^ sprites


def random_bytes(numbers: Tensor, count: int) -> Tensor:
    """Return random bytes for each image, a pure function of its number: int32 [B] -> uint8 [B, count].

    Args:
        numbers: from 0 to 2²⁰ − 1.
        count: at most 16,384.
    """
    words = _words(numbers, -(-count // 4))
    return words.view(torch.uint8)[:, :count]  # every platform of torch has the lowest byte first


def _words(numbers: Tensor, count: int) -> Tensor:
    """Return words of 32 random bits for each image, int32 [B, count].

    Each is a hash of its place among all images' words: a bijection of 32 bits without visible structure (lowbias32,
    by C. Wellons), twice.
    """
    places = torch.arange(count, dtype=torch.int32, device=numbers.device)
    # Products and sums of int32 keep the low 32 bits.
    words = numbers[:, None] * _WORDS + places ^ _START
    for _ in range(2):
        words = (words ^ _shifted(words, 16)) * 0x7FEB352D
        words = (words ^ _shifted(words, 15)) * (0x846CA68B - 2**32)
        words = words ^ _shifted(words, 16)
    return words


def _shifted(words: Tensor, places: int) -> Tensor:
    """Shift to the right, with zeros from the left; int32's own shift repeats the sign."""
    return words >> places & (1 << 32 - places) - 1


def _background(file: Path) -> Tensor:
    """Return the image at most 350 wide and 274 high, uint8 [3, H, W].

    Raises:
        DataError: it is no image, or too small for a part of 64×64.
    """
    expected = f"expected a JPEG or PNG image of {_SIDE}×{_SIDE} pixels or more: remove it and fetch it again"
    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            if image.width * image.height > _SCREAM_MOST_PIXELS:
                raise DataError(f"{file} has {image.width:,}×{image.height:,} pixels; {expected}, of 2²⁶ at most")
            colours = image.convert("RGB")
    except DAMAGE as error:
        raise DataError(f"{file} is malformed ({' '.join(str(error).split())}); {expected}") from None
    colours.thumbnail(_SCREAM_SIZE)
    if min(colours.size) < _SIDE:
        width, height = colours.size
        raise DataError(f"{file} has {width}×{height} pixels, reduced to 350×274 or less; {expected}")
    return torch.from_numpy(np.array(colours).transpose(2, 0, 1).copy())
