"""Many runs beside each other: metrics against a setting, and information against total correlation (HFVAE, Fig. 8)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hfvae_runner.figures import style

Floats = NDArray[np.floating[Any]]

Shape = tuple[str, Literal["-", "--", ":", "-.", ""]]

SHAPES: tuple[Shape, ...] = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
"""Marker and line of the first, second, … value of what a shape stands for."""
_MANY_TICKS = 9
_WIDE_RANGE = 8
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""


class Key(NamedTuple):
    """What a colour, or a shape, stands for: a title, each of the R runs' label, and every label once, in order."""

    title: str
    labels: Sequence[str]
    ranked: Sequence[str]


@style.styled
def against(
    title: str,
    x: Floats,
    panels: Mapping[str, Floats],
    lines: Sequence[int],
    color: Key | None = None,
    shape: Key | None = None,
    ticks: Mapping[float, str] | None = None,
) -> Figure:
    """A panel per metric: a dot per run, and the means over the runs at each x of a line, joined.

    title: what x is; x: [R]; panels: axis title and [R] values, NaN where a run has none; lines: [R], which runs belong
    together; color, shape: what tells the lines apart, at most four shapes; ticks: how the values of x are spelt.
    """
    rows = 1 if len(panels) <= 3 else 2
    columns = math.ceil(len(panels) / rows)
    figure = style.new_figure(max(6.5, 1 + 3.7 * columns), 0.9 + 3.3 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
    colors, shapes = _colors(color, len(x)), _shapes(shape, len(x))
    for axes, (name, values) in zip(grid, panels.items(), strict=False):
        axes.grid(axis="y")
        for line in dict.fromkeys(lines):
            members = np.array([each == line for each in lines]) & ~np.isnan(values)
            if members.any():
                first = int(np.flatnonzero(members)[0])
                _line(axes, x[members], values[members], colors[first], shapes[first])
        axes.set_title(name, fontsize=12, pad=8)
        _place_ticks(axes, x, ticks or {})
    for axes in grid[len(panels) :]:
        axes.remove()
    # Where the last row is not full, the panel above the gap carries the numbers.
    for axes in grid[max(0, len(panels) - columns) : len(panels)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel(title, fontsize=13)
    _legend(figure, color, shape, colors, shapes)
    return figure


@style.styled
def information_and_correlation(
    information: Floats, correlation: Floats, color: Key | None = None, shape: Key | None = None
) -> Figure:
    """A dot per run at its I(x; z) [R] and TC(z) [R], both in nats; best is the lower right (HFVAE, Fig. 8, left)."""
    figure = style.new_figure(7.4, 5.6)
    axes = figure.subplots()
    axes.grid()
    colors, shapes = _colors(color, len(information)), _shapes(shape, len(information))
    for run in range(len(information)):
        axes.plot(
            information[run], correlation[run], shapes[run][0], color=colors[run], markersize=9,
            markeredgecolor="white", alpha=0.9,
        )  # fmt: skip
    axes.set(title="Information and total correlation, a dot per run", xlabel="mutual information I(x; z) / nats")
    axes.set_ylabel("total correlation TC(z) / nats")
    axes.margins(0.08)
    _legend(figure, color, shape, colors, [(marker, "") for marker, _ in shapes])
    return figure


def _line(axes: Axes, x: Floats, values: Floats, color: str, shape: Shape) -> None:
    marker, dash = shape
    at = np.unique(x)
    means = [values[x == each].mean() for each in at]
    axes.plot(at, means, dash, color=color, linewidth=2)
    axes.plot(x, values, marker, color=color, markersize=7, markeredgecolor="white", alpha=0.8)


def _place_ticks(axes: Axes, x: Floats, ticks: Mapping[float, str]) -> None:
    at = np.unique(x)
    if at[0] > 0 and at[-1] / at[0] >= _WIDE_RANGE:
        axes.set_xscale("log")
    axes.margins(x=0.08)
    if len(at) <= _MANY_TICKS:
        axes.set_xticks(at, [ticks.get(float(each), f"{each:g}") for each in at])
        axes.set_xticks([], minor=True)


def _colors(key: Key | None, runs: int) -> list[str]:
    if key is None:
        return [style.CONTINUOUS] * runs
    palette: Sequence[str] = style.SEQUENCE
    if len(key.ranked) > len(palette):
        # The map's end is too pale for a dot on white.
        palette = [to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(key.ranked)))]
    return [palette[key.ranked.index(label)] for label in key.labels]


def _shapes(key: Key | None, runs: int) -> list[Shape]:
    if key is None:
        return [SHAPES[0]] * runs
    return [SHAPES[key.ranked.index(label)] for label in key.labels]


def _legend(
    figure: Figure, color: Key | None, shape: Key | None, colors: Sequence[str], shapes: Sequence[Shape]
) -> None:
    entries: list[Line2D] = []
    if color is not None:
        seen = dict(zip(color.labels, colors, strict=True))
        entries += [
            Line2D([], [], color=seen[label], linestyle="", marker="o", label=f"{color.title} {label}")
            for label in color.ranked
        ]
    if shape is not None:
        looks = dict(zip(shape.labels, shapes, strict=True))
        entries += [
            Line2D(
                [],
                [],
                color=style.MUTED,
                marker=looks[label][0],
                linestyle=looks[label][1],
                label=f"{shape.title} {label}",
            )
            for label in shape.ranked
        ]
    if entries:
        figure.legend(handles=entries, loc="outside right center", fontsize=11)
