"""Densities of one continuous factor's aggregate posterior, of all examples and of groups, on a uniform grid.

Legend: N examples; Q groups of them; C partitions into groups; G grid points, h apart; S points; L octaves of scale.

q(z|group) = 1/|group| Σ_n N(z; m_n, s_n). A direct sum at every point costs N·G. Here each normal is evaluated within
±9 of its own standard deviations, on a grid that is only as fine as its octave of scale needs: h = (the least scale
in the octave)/4. So a row costs 72 to 144 evaluations, however far the scales differ. A mixture of normals of scale 4h
or more has nothing above the grid's Nyquist frequency (its spectrum there is exp(-(4π)²/2) of the peak). So local
polynomials of high order interpolate the coarse octaves to the finest grid, and the value at a point:

- refinement by two, 16 points: relative error below 2e-9 within two standard deviations of a single normal, 1e-7 at 4;
- value at a point, 10 points: 3e-7 within one, 2e-6 at 3, 1e-5 at 4, 1e-2 at 6; less where normals overlap;
- the omitted tails beyond 9 standard deviations: 3e-18 of the peak, 2e-19 of the mass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hfvae_runner.metrics._subject import Floats, Integers

POINTS_PER_SCALE = 4
REACH = 9
LARGEST_TABLE = 2**24
"""Numbers in a table, 128 MiB."""
FEWEST_POINTS = 512
"""Fewest points of a grid, for any number of groups."""
DENSITY_ERROR = 2e-9
"""Relative error of the densities on the grid, except in the tails."""

_REFINING, _READING = 16, 10
_ROWS_AT_ONCE = 1024
_POINTS_AT_ONCE = 2**14


@dataclass(frozen=True)
class DensityTable:
    """The densities q(z|group) at z = start + i · step.

    Attributes:
        density: [Q, G], float64, per unit of z.
        narrowest: the scale to which narrower normals were widened.
        widened: the share of rows whose normals were widened.
    """

    start: float
    step: float
    density: Tensor
    narrowest: float
    widened: float

    def at(self, group: Integers, z: Floats) -> Floats:
        """Return q(z_s|group_s) at each point, [S]; each point must be within ±9 scales of some row of its group."""
        windows = self.density.unfold(1, _READING, 1)
        coefficients = _lagrange(_READING)
        values = np.empty(len(z))
        for first in range(0, len(z), _POINTS_AT_ONCE):
            part = slice(first, first + _POINTS_AT_ONCE)
            place = (torch.from_numpy(z[part]) - self.start) / self.step
            left = place.floor().clamp(_READING // 2 - 1, self.density.shape[1] - _READING // 2 - 1)
            powers = torch.linalg.vander(place - left - 0.5, N=_READING)
            nearest = windows[torch.from_numpy(group[part]), left.long() - (_READING // 2 - 1)]
            values[part] = (nearest * (powers @ coefficients)).sum(1).numpy()
        return values


def density_table(
    mean: Floats, scale: Floats, groups: Integers, sizes: Integers, largest: int = LARGEST_TABLE
) -> DensityTable:
    """Return the table of one factor, from its posteriors' means and scales, [N] each.

    If the least scale needs a finer grid than ``largest`` allows (a scale of 0, for example), narrower normals are
    widened to what the grid can hold: 1/36,000 of the range with 114 groups. The result reports how many were.

    Args:
        mean, scale: [N] each.
        groups: [C, N], each row's group in each partition, 0 … Q−1, or −1 for none.
        sizes: [Q], the number of rows in each group.
        largest: the most numbers that the table may hold.
    """
    low, high = (mean - REACH * scale).min(), (mean + REACH * scale).max()
    points = max(largest // (len(sizes) + 1) - 2 * REACH * POINTS_PER_SCALE, FEWEST_POINTS)
    # If all scales and the range are 0, any positive width is correct.
    narrowest = max(float(scale.min()), POINTS_PER_SCALE * float(high - low) / points) or 1.0
    step = narrowest / POINTS_PER_SCALE
    wide_scale = np.maximum(scale, narrowest)
    octave = np.log2(wide_scale / narrowest).astype(np.int64)
    octaves = int(octave.max()) + 1
    start = float((mean - REACH * wide_scale).min()) - step * _READING
    length = ((mean + REACH * wide_scale).max() - start) / step + _READING
    coarsest = 2 ** (octaves - 1)
    order = np.argsort(mean)

    # An additional group collects the rows without a group.
    density = torch.zeros(len(sizes) + 1, int(np.ceil(length / coarsest)) + 1, dtype=torch.float64)
    for level in reversed(range(octaves)):
        rows = order[octave[order] == level]
        _add_normals(density, mean[rows] - start, wide_scale[rows], groups[:, rows], step * 2**level)
        if level:
            density = _refined(density)
    density = density[:-1]
    density /= torch.from_numpy(sizes)[:, None]
    return DensityTable(start, step, density, narrowest, float(np.mean(scale < narrowest)))


def _add_normals(density: Tensor, mean: Floats, scale: Floats, groups: Integers, step: float) -> None:
    """Add the normals of one octave's rows, sorted by mean, to their groups' sums [Q + 1, G]."""
    for rows in _blocks(mean, REACH * step * POINTS_PER_SCALE):
        reach = REACH * scale[rows].max()
        first = max(int((mean[rows][0] - reach) / step), 0)
        last = min(int((mean[rows][-1] + reach) / step) + 2, density.shape[1])
        inverse = torch.from_numpy(1 / scale[rows])[:, None]
        distance = torch.arange(first, last, dtype=torch.float64) * step - torch.from_numpy(mean[rows])[:, None]
        distance *= inverse
        normal = distance.square_().mul_(-0.5).exp_().mul_(inverse / np.sqrt(2 * np.pi))
        # Adding directly to a part of the columns of ``density`` is ten times slower.
        sums = density.new_zeros(len(density), last - first)
        for group in groups[:, rows]:
            sums.index_add_(0, torch.from_numpy(group % len(density)), normal)
        density[:, first:last] += sums


def _blocks(mean: Floats, span: float) -> Iterator[slice]:
    """Yield runs of rows whose means differ by at most ``span``."""
    first = 0
    while first < len(mean):
        last = min(int(np.searchsorted(mean, mean[first] + span, side="right")), first + _ROWS_AT_ONCE)
        yield slice(first, last)
        first = last


def _refined(coarse: Tensor) -> Tensor:
    """Refine [Q, G] to [Q, 2G]: the points, and midway the polynomial through the 16 nearest; 0 outside the grid."""
    rows, points = coarse.shape
    padded = torch.nn.functional.pad(coarse, (_REFINING // 2 - 1, _REFINING // 2))
    fine = coarse.new_zeros(rows, points, 2)
    fine[:, :, 0] = coarse
    nodes = np.arange(_REFINING) - (_REFINING - 1) / 2
    for shift, node in enumerate(nodes):
        others = np.delete(nodes, shift)
        weight = float(np.prod(others / (others - node)))
        fine[:, :, 1].add_(padded[:, shift : shift + points], alpha=weight)
    # In the far tails the polynomial's error exceeds the density, so that a value may be negative.
    return fine.clamp_min_(0).flatten(1)


def _lagrange(count: int) -> Tensor:
    """Return the Lagrange polynomials of ``count`` unit-spaced nodes, [count, count].

    Row k, column i is the coefficient of (t − ½)^k in node i's polynomial, where t = 0 … 1 spans the middle interval.
    """
    nodes: NDArray[Any] = np.arange(count) - (count - 1) / 2
    return torch.from_numpy(np.linalg.inv(nodes[:, None] ** np.arange(count)))
