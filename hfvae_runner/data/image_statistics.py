"""Statistics of an image: ink, width, height, slant.

Shapes: N images; B a piece of them; C channels; H, W height and width.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hfvae_runner.data._examples import Examples

_PIECE = 4096


def measured(name: str, images: Examples) -> Tensor:
    """One of ``MEASURES`` of every image: uint8 [N, C, H, W] -> float64 [N], on the CPU.

    Colour images are measured by the mean of their channels.
    """
    measure = MEASURES[name]
    pieces = torch.arange(len(images), device=images.device).split(_PIECE)
    return torch.cat([measure(images[piece].to(torch.float64).mean(1) / 255).cpu() for piece in pieces])


def ink(grey: Tensor) -> Tensor:
    """Return the mean intensity, from 0 to 1: [B, H, W] -> [B]."""
    return grey.mean((1, 2))


def width(grey: Tensor) -> Tensor:
    """Return the width in pixels of the box around what is drawn: [B, H, W] -> [B]; 0 of a black image.

    Drawn is what is at least half as bright as the image's brightest pixel.
    """
    return _extent(_drawn(grey).any(1))


def height(grey: Tensor) -> Tensor:
    """Return the height of the same box."""
    return _extent(_drawn(grey).any(2))


def slant(grey: Tensor) -> Tensor:
    """Return the tangent of the angle between the picture's axis and the vertical: [B, H, W] -> [B].

    Above 0 where it leans to the right, as in "/"; 0 of a picture without any height. By its moments, −μ₁₁/μ₀₂ (rows
    are counted downwards): the shear that would set it upright.
    """
    _, rows, columns = grey.shape
    mass = grey.sum((1, 2)).clamp_min(torch.finfo(grey.dtype).tiny)
    y = torch.arange(rows, dtype=grey.dtype, device=grey.device)
    x = torch.arange(columns, dtype=grey.dtype, device=grey.device)
    y_off = y - (grey.sum(2) @ y / mass)[:, None]
    x_off = x - (grey.sum(1) @ x / mass)[:, None]
    covariance = torch.einsum("bhw,bh,bw->b", grey, y_off, x_off)
    spread = torch.einsum("bhw,bh->b", grey, y_off**2)
    return torch.where(spread > 0, -covariance / spread.clamp_min(torch.finfo(grey.dtype).tiny), 0.0)


MEASURES: Mapping[str, Callable[[Tensor], Tensor]] = {"ink": ink, "width": width, "height": height, "slant": slant}


def _drawn(grey: Tensor) -> Tensor:
    brightest = grey.amax((1, 2), keepdim=True)
    return (grey >= brightest / 2) & (grey > 0)


def _extent(on: Tensor) -> Tensor:
    """From the first to the last column (or row) that is on: [B, W] -> [B]."""
    places = torch.arange(on.shape[1], device=on.device)
    last = torch.where(on, places, -1).amax(1)
    first = torch.where(on, places, on.shape[1]).amin(1)
    return (last - first + 1).clamp_min(0).to(torch.float64)
