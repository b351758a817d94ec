"""Draws binary sprites on the grid of dSprites: squares, ellipses and hearts at every scale, angle and place.

The grid is the published one (Matthey et al. 2017); the shapes' proportions and places are ours, chosen so that as many
pixels are on as there, and that no two pictures are the same but for the angles 0 and 2π. Lengths are pixels; y grows
downwards, angles clockwise.

Shapes: S scales; A angles; * any shape.
"""

import math

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

SIZE = 64
SCALES: Reals = np.linspace(0.5, 1, 6)
# Both ends of [0, 2π] are among the 40, as published; the last is a 0 here so that rounding cannot tell them apart.
# At 39 steps to a turn no two others are 90° or 180° apart, so even the square, which repeats itself every 90°, and the
# ellipse, every 180°, have 39 different tilts; but neighbouring tilts lie in different parts of the turn.
ANGLES: Reals = np.arange(40.0) % 39 * (2 * math.pi / 39)
PLACES = 32

# Where the sprites' middles are at the first of the 32 places, (x, y); the others follow pixel by pixel. Off the
# pixels' own middles, because there a small square looks the same at neighbouring angles.
FIRST = (16.22, 16.26)

SQUARE_SIDE = 17.3
ELLIPSE_SEMI_AXES = (14.0, 6.6)
# A heart is a square on its corner with half discs on its two upper sides.
HEART_SIDE = 12.8


def _in_square(u: Reals, v: Reals) -> Bools:
    return np.maximum(abs(u), abs(v)) <= SQUARE_SIDE / 2


def _in_ellipse(u: Reals, v: Reals) -> Bools:
    return np.hypot(u / ELLIPSE_SEMI_AXES[0], v / ELLIPSE_SEMI_AXES[1]) <= 1


def _in_heart(u: Reals, v: Reals) -> Bools:
    radius = HEART_SIDE / 2
    # The heart's centre of mass, seen from its square's middle along either side.
    centre = math.pi / 8 * (1 / 2 + 2 / (3 * math.pi)) / (1 + math.pi / 4) * HEART_SIDE
    p = (u - v) / math.sqrt(2) + centre
    q = -(u + v) / math.sqrt(2) + centre
    in_square = np.maximum(abs(p), abs(q)) <= radius
    return in_square | (np.hypot(p - radius, q) <= radius) | (np.hypot(p, q - radius) <= radius)


# In the published order; each says which points (u, v), both [*], seen from the centre of mass at scale 1, are in it.
SHAPES = {"square": _in_square, "ellipse": _in_ellipse, "heart": _in_heart}


def masks(scales: Reals = SCALES, angles: Reals = ANGLES) -> Bools:
    """Return every shape at the first place, [3, S, A, 64, 64]; a pixel is on if its middle is in the shape."""
    y, x = np.ogrid[:SIZE, :SIZE]
    x, y = x - FIRST[0], y - FIRST[1]
    cos, sin = (f(angles)[:, None, None] for f in (np.cos, np.sin))
    scale = scales[:, None, None, None]
    u, v = (cos * x + sin * y) / scale, (cos * y - sin * x) / scale
    return np.stack([contains(u, v) for contains in SHAPES.values()])


def packed_grid() -> NDArray[np.uint8]:
    """Return all 737,280 images, [737280, 512], eight pixels a byte, the first one in the highest bit.

    The order is the published one: shape, scale, angle, x, y, of which y changes fastest.
    """
    first = np.packbits(masks().reshape(-1, SIZE, SIZE), axis=-1)
    # A row of 64 pixels is one number, the leftmost pixel its highest bit: to go right by i is to shift by i bits.
    rows = first.view(">u8")[..., 0].astype(np.uint64)
    places = np.arange(PLACES, dtype=np.uint64)
    above = PLACES - 1
    strip = np.zeros((len(rows), PLACES, above + SIZE), dtype=">u8")
    strip[:, :, above:] = rows[:, None, :] >> places[:, None]
    images = np.empty((len(rows), PLACES, PLACES, SIZE), dtype=">u8")
    for down in range(PLACES):
        images[:, :, down] = strip[:, :, above - down : above - down + SIZE]
    return images.view(np.uint8).reshape(-1, SIZE * SIZE // 8)
