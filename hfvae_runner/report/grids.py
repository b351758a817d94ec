"""Figures over two settings that form a grid: heat maps of the metrics, and the runs' own pictures."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from hfvae_runner.errors import DataError
from hfvae_runner.figures import heat_map, picture_grid
from hfvae_runner.figures.heat_map import DONE, NOT_DONE, NOT_TRIED
from hfvae_runner.figures.picture_grid import Side
from hfvae_runner.report import pictures
from hfvae_runner.report.dots import Dot, Plot, both_fix, measured, place
from hfvae_runner.report.runs import COMPLETED
from hfvae_runner.report.settings import natural
from hfvae_runner.report.table import Setting, choices

_PICTURE = "aggregate_posterior"
GRID, HEAT = f"grid_{_PICTURE}", "heat_"
_MOST_PICTURES, _MOST_PLACES = 12, 24
"""The largest number of pictures, and of a heat map's places, along a side."""
_FULL = 0.75
"""The least share of a grid's places that must have runs."""
_MOST_MAPS = 8


def heat_maps(keys: Sequence[str], dots: Sequence[Dot]) -> Iterator[Plot]:
    """Yield heat maps of every two numeric settings that form a nearly full grid.

    There is one figure for each combination of the other settings, and at most eight figures in all; the caption of the
    last one says how many more there would be.

    Args:
        keys: the varying settings.
        dots: all runs, including those that did not complete.
    """
    numeric = [key for key in keys if sum(place(dot, key) is not None for dot in dots) > 1]
    found = [plot for pair in combinations(numeric, 2) for plot in _of_pair(pair, keys, dots)]
    for number, (name, title, pair, members) in enumerate(found[:_MOST_MAPS], start=1):
        left_out = len(found) - number if number == _MOST_MAPS else 0
        more = f" {left_out} more such grids are not drawn." if left_out else ""
        yield _heat_map(name, title, pair, members, more)


_Found = tuple[str, str, tuple[str, str], list[Dot]]


def _of_pair(pair: tuple[str, str], keys: Sequence[str], dots: Sequence[Dot]) -> list[_Found]:
    """Return the name, the title, the settings along the sides and the runs of each grid of the pair."""
    inside = [dot for dot in dots if all(place(dot, key) is not None for key in pair)]
    if not inside or both_fix(*pair, inside):
        return []
    others = [key for key in keys if key not in pair and not any(both_fix(key, each, inside) for each in pair)]
    groups: dict[tuple[str, ...], list[Dot]] = {}
    for dot in inside:
        groups.setdefault(tuple(dot.values[other] for other in others), []).append(dot)
    grids = {rest: members for rest, members in groups.items() if _is_grid(pair, members)}
    found: list[_Found] = []
    for number, (rest, members) in enumerate(grids.items(), start=1):
        name = f"{HEAT}{pair[0]}_{pair[1]}" + (f"_{number}" if len(grids) > 1 else "")
        fixed = choices({key: value for key, value in zip(others, rest, strict=True) if _varies(key, inside)})
        found.append((name, f"By {pair[0]} and {pair[1]}" + (f", {fixed}" if fixed else ""), pair, members))
    return found


def _varies(key: str, dots: Sequence[Dot]) -> bool:
    return len({dot.values[key] for dot in dots}) > 1


def _is_grid(pair: tuple[str, str], dots: Sequence[Dot]) -> bool:
    sides = [{place(dot, key) for dot in dots} for key in pair]
    across, down = map(len, sides)
    places = {tuple(place(dot, key) for key in pair) for dot in dots}
    fits = min(across, down) > 1 and max(across, down) <= _MOST_PLACES
    return fits and len(places) >= _FULL * across * down and bool(measured(_done(dots)))


def _done(dots: Sequence[Dot]) -> list[Dot]:
    return [dot for dot in dots if dot.run.status == COMPLETED]


def _heat_map(name: str, title: str, pair: tuple[str, str], dots: Sequence[Dot], more: str) -> Plot:
    done = _done(dots)
    # Few rows with many columns are easier to read than the reverse.
    keys = sorted(pair, key=lambda key: len({place(dot, key) for dot in dots}))
    sides = []
    for key in keys:
        spelt = {place(dot, key): dot.values[key] for dot in dots}
        sides.append({number: spelt[number] for number in sorted(number for number in spelt if number is not None)})
    rows, columns = (list(side) for side in sides)
    states = [[NOT_TRIED] * len(columns) for _ in rows]
    members: dict[tuple[int, int], list[int]] = {}
    for dot in dots:
        r, c = _at(dot, keys, rows, columns)
        states[r][c] = DONE if dot.run.status == COMPLETED or states[r][c] == DONE else NOT_DONE
    for index, dot in enumerate(done):
        members.setdefault(_at(dot, keys, rows, columns), []).append(index)
    panels = {}
    for metric, values in measured(done).items():
        panel = np.full((len(rows), len(columns)), np.nan)
        for at, which in members.items():
            present = values[which][~np.isnan(values[which])]
            panel[at] = present.mean() if len(present) else np.nan
        panels[metric.axis] = panel
    labels = [Side(key, list(side.values())) for key, side in zip(keys, sides, strict=True)]
    caption = f"{title}: metrics of the test split, means over the seeds that completed.{more}"
    return Plot(name, caption, heat_map.heat_maps(title, labels[0], labels[1], panels, states), tuple(keys))


def _at(dot: Dot, keys: Sequence[str], rows: Sequence[float], columns: Sequence[float]) -> tuple[int, int]:
    row, column = (place(dot, key) for key in keys)
    assert row is not None and column is not None
    return rows.index(row), columns.index(column)


def picture_grids(keys: Sequence[str], settings: Sequence[Setting]) -> Iterator[Plot]:
    """Yield a grid of the aggregate posteriors of the settings' first completed seeds, if exactly two settings vary."""
    if len(keys) != 2:
        return
    rows, columns = (Side(key, sorted({setting.values[key] for setting in settings}, key=natural)) for key in keys)
    # If the settings mostly vary one at a time, most places of the grid would be empty.
    scattered = 2 * len(settings) <= len(rows.values) * len(columns.values)
    if scattered or max(len(rows.values), len(columns.values)) > _MOST_PICTURES:
        return
    paths = {
        tuple(setting.values.values()): setting.completed[0].path / "figures" / f"{_PICTURE}.png"
        for setting in settings
        if setting.completed
    }
    if not paths or not all(path.is_file() for path in paths.values()):
        return
    cells: list[list[picture_grid.Picture | str]] = [["not completed"] * len(columns.values) for _ in rows.values]
    broken = []
    for (row, column), path in paths.items():
        r, c = rows.values.index(row), columns.values.index(column)
        try:
            cells[r][c] = pictures.aggregate_posterior(path)
        except DataError as error:
            cells[r][c] = "unreadable"
            broken.append(f"{keys[0]}={row} {keys[1]}={column}: {error}.")
    figure = picture_grid.picture_grid(f"Aggregate posterior, by {keys[0]} and {keys[1]}", rows, columns, cells)
    caption = (
        "Aggregate posterior q(z), the means of q(z|x) as dots, and the prior's contours: of each setting the first "
        "completed seed. Each picture has its own range of z, for which the contours give the scale."
    )
    yield Plot(GRID, " ".join([caption, *broken]), figure)
