"""Brings examples that a user gives to what a model takes.

Shapes: B batch; C, H, W channels, height and width; D the values of a vector.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hfvae_runner.data import Description
from hfvae_runner.errors import DataError

Given: TypeAlias = "NDArray[np.generic] | Tensor"


def examples(given: Given, data: Description) -> tuple[Tensor, bool]:
    """Convert examples to float32 [B, *input_shape].

    Args:
        given: images [B, C, H, W], [B, H, W, C], [B, H, W] or one of them without its batch axis, as uint8 (255 is
            1.0), bool, or floats from 0 to 1; or vectors [B, D] or [D] of any real numbers, or of counts.
        data: what the model was trained on.

    Returns:
        The examples, and whether a single one was given.

    Raises:
        DataError: their shape, type or range is not what the model takes.
    """
    x = given.detach().cpu() if isinstance(given, Tensor) else _tensor(given)
    if x.is_complex():
        raise DataError(f"examples of type {_kind(x)}; expected {_takes(data)}")
    shaped = _batch(x, data.input_shape)
    if shaped is None:
        raise DataError(f"examples of shape {list(x.shape)}; expected {_takes(data)}")
    batch, single = shaped
    return _floats(batch, data), single


def _tensor(given: object) -> Tensor:
    array = np.array(given)  # a copy, since torch takes no negative strides
    if array.dtype.kind not in "buif":
        raise DataError(f"examples of type {array.dtype}; expected numbers")
    return torch.from_numpy(array)


def _batch(x: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, bool] | None:
    """The examples as [B, *shape], and whether there was no batch axis; None where the shape does not fit."""
    for single in (False, True):
        batch = x[None] if single else x
        for layout in _layouts(shape):
            found = layout(batch)
            if found is not None:
                return found, single
    return None


def _layouts(shape: tuple[int, ...]) -> list[Callable[[Tensor], Tensor | None]]:
    """What a batch may look like, the model's own layout first; each gives None for a batch of another layout."""

    def own(x: Tensor) -> Tensor | None:
        return x if x.shape[1:] == shape else None

    if len(shape) != 3:
        return [own]
    channels, height, width = shape

    def channels_last(x: Tensor) -> Tensor | None:
        return x.permute(0, 3, 1, 2) if x.shape[1:] == (height, width, channels) else None

    def grey(x: Tensor) -> Tensor | None:
        return x[:, None] if channels == 1 and x.shape[1:] == (height, width) else None

    return [own, channels_last, grey]


def _floats(x: Tensor, data: Description) -> Tensor:
    if x.dtype == torch.uint8 and data.values == "unit_interval":
        return x.float() / 255
    if data.values == "unit_interval" and not x.is_floating_point() and x.dtype != torch.bool:
        raise DataError(f"examples of type {_kind(x)}; expected {_takes(data)}")
    values = x.float()
    least, most = (values.min().item(), values.max().item()) if values.numel() else (0.0, 0.0)
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError("examples hold NaN or infinity; expected finite numbers")
    if data.values == "unit_interval" and (least < 0 or most > 1):
        raise DataError(f"examples from {least:g} to {most:g}; expected {_takes(data)}")
    if data.values == "counts" and least < 0:
        raise DataError(f"examples from {least:g} on; expected {_takes(data)}")
    return values


def _takes(data: Description) -> str:
    values = {
        "unit_interval": "uint8, or floats from 0 to 1",
        "real": "real numbers",
        "counts": "counts from 0 on",
    }[data.values]
    if len(data.input_shape) == 3:
        channels, height, width = data.input_shape
        return f"images of {height}×{width} pixels and {channels} channel{'s' * (channels > 1)}, {values}"
    return f"vectors of {data.input_shape[0]} values, {values}"


def _kind(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
