"""Shared parts of figures over many runs: colours, markers and sizes of settings, and layouts of panels."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hfvae_runner.figures import style

T = TypeVar("T")
Floats = NDArray[np.floating[Any]]
Shape = tuple[str, Literal["-", "--", ":", "-.", ""]]

SHAPES: tuple[Shape, ...] = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
"""Marker and line style of the first, second, … value that shapes represent."""
SIZE = 9.0
"""Diameter of a marker, in points, if the size represents nothing."""
_SMALLEST, _LARGEST = 5.0, 14.0
_MOST_ACROSS = 4


class Key(NamedTuple):
    """What a look represents: a title, each of the R runs' label, and every distinct label in order."""

    title: str
    labels: Sequence[str]
    ranked: Sequence[str]


class Looks:
    """The appearance of each of R runs.

    Attributes:
        colors, shapes, sizes: [R]; a size is a marker's diameter in points.
    """

    def __init__(self, runs: int, color: Key | None = None, shape: Key | None = None, size: Key | None = None) -> None:
        """Assign looks to the runs.

        A shape key may have at most four distinct labels. Without a key, all runs look alike.
        """
        self._keys = (color, shape, size)
        self.colors = [style.CONTINUOUS] * runs if color is None else _chosen(color, _palette(len(color.ranked)))
        self.shapes = [SHAPES[0]] * runs if shape is None else _chosen(shape, SHAPES)
        steps = [] if size is None else np.linspace(_SMALLEST, _LARGEST, len(size.ranked)).tolist()
        self.sizes = [SIZE] * runs if size is None else _chosen(size, steps)

    def explain(self, figure: Figure, lines: bool = False) -> None:
        """Add the legend beside the axes, if there are keys; ``lines``: whether a shape's entry shows a line, too."""
        color, shape, size = self._keys
        entries: list[Line2D] = []
        if color is not None:
            entries += [_entry(color, label, color=self.colors[color.labels.index(label)]) for label in color.ranked]
        if shape is not None:
            for label in shape.ranked:
                marker, dash = self.shapes[shape.labels.index(label)]
                entries.append(_entry(shape, label, marker=marker, linestyle=dash if lines else ""))
        if size is not None:
            entries += [_entry(size, label, markersize=self.sizes[size.labels.index(label)]) for label in size.ranked]
        if entries:
            figure.legend(handles=entries, loc="outside right center", fontsize=11)


def literal(text: str) -> str:
    """Escape dollar signs, so that matplotlib does not parse text from a file as a formula."""
    return text.replace("$", r"\$")


def panels(count: int, height: float = 3.3, sharex: bool = False, width: float = 3.7) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` axes, in rows of at most four, each ``height`` inches high and ``width`` wide."""
    rows = 1 if count <= 3 else max(2, math.ceil(count / _MOST_ACROSS))
    columns = math.ceil(count / rows)
    figure = style.new_figure(max(6.5, 1 + width * columns), 0.9 + height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex).flatten().tolist()
    for axes in grid[count:]:
        axes.remove()
    # If the last row is not full, the panel above the gap shows the tick labels.
    for axes in grid[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, grid[:count]


def groups(numbers: NDArray[np.generic]) -> Iterator[tuple[Any, NDArray[np.intp]]]:
    """Yield every distinct number of ``numbers`` [R], ascending, and the indices where it occurs."""
    if not len(numbers):
        return
    order = np.argsort(numbers, kind="stable")
    different, starts = np.unique(numbers[order], return_index=True)
    yield from zip(different.tolist(), np.split(order, starts[1:]), strict=True)


def deviation(values: Floats) -> float:
    """Return the sample's standard deviation; 0 for a single value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _palette(colors: int) -> Sequence[str]:
    if colors <= len(style.SEQUENCE):
        return style.SEQUENCE
    # The end of the colour map is too pale on white.
    return [to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(0, 0.92, colors))]


def _chosen(key: Key, looks: Sequence[T]) -> list[T]:
    by_label = dict(zip(key.ranked, looks, strict=False))
    return [by_label[label] for label in key.labels]


def _entry(key: Key, label: str, **look: Any) -> Line2D:
    fixed = {"color": style.MUTED, "linestyle": "", "marker": "o"}
    return Line2D([], [], label=literal(f"{key.title} {label}"), **(fixed | look))
