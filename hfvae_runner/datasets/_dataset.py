"""What every data set is: a training and a test split in memory, once, and what is known about them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hfvae_runner.errors import ConfigError
from hfvae_runner.vocabulary import Values


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        x: [N, *]; uint8 images [N, C, H, W], 255 being 1.0, or float32 values (counts, too).
        labels: [N] int64 classes, or None.
    """

    x: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Dataset:
    """A data set with its published split.

    Attributes:
        train: what is trained on; its size is the N of every estimator.
        test: never trained on.
        values: what the values of an example are, which says what likelihoods fit.
        label_names: one name a class; None where there are no labels.
    """

    train: Split
    test: Split
    values: Values
    label_names: tuple[str, ...] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.train.x.shape[1:])

    @property
    def n_classes(self) -> int | None:
        """How many classes the labels have; None without labels."""
        return None if self.label_names is None else len(self.label_names)


def as_float(x: Tensor) -> Tensor:
    """What a network reads: uint8 images as floats from 0 to 1, floats as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def resized(images: Tensor, size: int | None) -> Tensor:
    """uint8 images [N, C, H, W] at size×size pixels, bilinear with antialiasing; None leaves them alone.

    Raises:
        ConfigError: the size is not a whole number from 4 on.
    """
    if size is None:
        return images
    if not isinstance(size, int) or isinstance(size, bool) or size < 4:
        raise ConfigError(f"image_size={size!r}: expected a whole number of pixels from 4 on, or null")
    if images.shape[2:] == (size, size):
        return images

    def resized_piece(piece: Tensor) -> Tensor:
        return interpolate(piece.float(), (size, size), mode="bilinear", antialias=True).round().clamp(0, 255).byte()

    # In pieces, since a float copy of 70,000 images would take four times their memory.
    return torch.cat([resized_piece(piece) for piece in torch.split(images, 4096)])
