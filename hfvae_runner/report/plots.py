"""Which figures a set of runs allows."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.errors import DataError
from hfvae_runner.figures import exponents, picture_grid, sweep
from hfvae_runner.report import pictures
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_number, natural, settings_of
from hfvae_runner.report.table import METRICS, Setting
from hfvae_runner.schema import GROUPS

Dot = tuple[Run, Mapping[str, str]]
"""A completed run, and its varying settings as text."""
_AGAINST, _SCATTER, _EXPONENTS = "against_", "information_and_correlation", "learned_exponents"
_PICTURE = "aggregate_posterior"
_GRID = f"grid_{_PICTURE}"
NAMES = (f"{_AGAINST}*", _SCATTER, f"{_EXPONENTS}*", _GRID)
"""Patterns of all names that a figure may have."""
_MOST_ALONG_A_SIDE = 12


@dataclass(frozen=True)
class Plot:
    """A figure, the file name it goes by (without .png), what it shows in a sentence, and the settings on its axis."""

    name: str
    caption: str
    figure: Figure
    shown: tuple[str, ...] = ()


def plots(settings: Sequence[Setting]) -> Iterator[Plot]:
    """All figures that the runs allow.

    - The metrics against each numeric setting that varies while the choices do not. Numbers that only ever move
      together share an axis. All other settings tell lines apart; a line needs two places.
    - Information against total correlation, from two runs on.
    - The exponents of priors that learned them, a figure for each number of exponents.
    - The aggregate posteriors as a grid, where two settings vary and every completed run has that figure.
    """
    dots = [(run, setting.values) for setting in settings for run in setting.completed]
    keys = list(settings[0].values) if settings else []
    shown: set[str] = set()
    for key in keys:
        plot = None if key in shown else _against(key, dots)
        if plot is not None:
            shown.update(plot.shown)
            yield plot
    pairs = [dot for dot in dots if _MI.of(dot[0]) is not None and _TC.of(dot[0]) is not None]
    if len(pairs) > 1:
        information, correlation = (np.array([metric.of(run) for run, _ in pairs], float) for metric in (_MI, _TC))
        figure = sweep.information_and_correlation(information, correlation, *_keys(keys, pairs))
        caption = "Mutual information against total correlation, a dot per run; the lower right is best."
        yield Plot(_SCATTER, caption, figure)
    yield from _learned_exponents([run for run, _ in dots])
    grid = _grid(keys, settings)
    if grid is not None:
        yield grid


_BY_TITLE = {metric.title: metric for metric in METRICS}
_MI, _TC = _BY_TITLE["mutual information"], _BY_TITLE["total correlation"]


def _against(key: str, dots: Sequence[Dot]) -> Plot | None:
    numeric = [dot for dot in dots if _place(dot, key) is not None]
    others = [other for other in (numeric[0][1] if numeric else ()) if other != key]
    tied = [other for other in others if other not in GROUPS and _both_fix(other, key, numeric)]
    apart = [other for other in others if other not in tied]
    lines: dict[tuple[str, ...], list[Dot]] = {}
    for dot in numeric:
        lines.setdefault(tuple(dot[1][other] for other in apart), []).append(dot)
    moving = [line for line in lines.values() if len({_place(dot, key) for dot in line}) > 1]
    if not moving:
        return None
    chosen = [dot for line in moving for dot in line]
    x = np.array([_place(dot, key) for dot in chosen], float)
    panels = {}
    for metric in METRICS:
        values = np.array([metric.of(run) for run, _ in chosen], float)
        if not np.isnan(values).all():
            panels[metric.title if metric.unit == "share" else f"{metric.title} / {metric.unit}"] = values
    title = f"{key}, and {', '.join(tied)} with it" if tied else key
    figure = sweep.against(
        title, x, panels, [number for number, line in enumerate(moving) for _ in line], *_keys(apart, chosen),
        ticks={float(number): values[key] for number, (_, values) in zip(x, chosen, strict=True)},
    )  # fmt: skip
    caption = f"Metrics of the test split against {title}: a dot per run, lines through the means."
    return Plot(re.sub(r"[^\w.-]", "_", f"{_AGAINST}{key}"), caption, figure, (key, *tied))


def _place(dot: Dot, key: str) -> float | None:
    return as_number(settings_of(dot[0].config).get(key))


def _both_fix(other: str, key: str, dots: Sequence[Dot]) -> bool:
    """Whether the two settings vary, and only together."""
    pairs = {(values[key], values[other]) for _, values in dots}
    return len(pairs) > 1 and len(pairs) == len({value for value, _ in pairs}) == len({value for _, value in pairs})


def _keys(keys: Sequence[str], dots: Sequence[Dot]) -> tuple[sweep.Key | None, sweep.Key | None]:
    """What colour and shape stand for: the first two settings that tell the dots apart, while there are shapes."""
    color = shape = None
    for key in keys:
        labels = [values[key] for _, values in dots]
        ranked = sorted(set(labels), key=natural)
        if len(ranked) == 1:
            continue
        if color is None:
            color = sweep.Key(key, labels, ranked)
        # A setting that follows from the one in colour would say the same twice.
        elif len(set(zip(color.labels, labels, strict=True))) > len(color.ranked):
            shape = sweep.Key(key, labels, ranked) if len(ranked) <= len(sweep.SHAPES) else None
            break
    return color, shape


def _learned_exponents(runs: Sequence[Run]) -> Iterator[Plot]:
    by_number: dict[int, list[tuple[list[float], float]]] = {}
    for run in runs:
        prior = run.section("prior")
        own, root = _numbers(prior.get("exponents")), _numbers([prior.get("root_exponent")])
        if prior.get("learned") is True and own and root:
            by_number.setdefault(len(own), []).append((own, root[0]))
    for number, found in sorted(by_number.items()):
        values, roots = (np.array(column) for column in zip(*found, strict=True))
        figure = exponents.learned_exponents(values, roots)
        caption = "Learned exponents of the prior's subspaces: of each run the smallest is p1, the next one p2."
        yield Plot(f"{_EXPONENTS}_{number}" if len(by_number) > 1 else _EXPONENTS, caption, figure)


def _numbers(values: object) -> list[float]:
    """The numbers of a list; none where it is no list of finite numbers alone."""
    numbers = [as_number(value) for value in values] if isinstance(values, list) else []
    finite = [number for number in numbers if number is not None and math.isfinite(number)]
    return finite if len(finite) == len(numbers) else []


def _grid(keys: Sequence[str], settings: Sequence[Setting]) -> Plot | None:
    """The settings' first completed seeds, a varying setting along each side."""
    if len(keys) != 2:
        return None
    rows, columns = (
        picture_grid.Side(key, sorted({setting.values[key] for setting in settings}, key=natural)) for key in keys
    )
    # Of settings that mostly vary one at a time, a grid would be full of holes.
    scattered = 2 * len(settings) <= len(rows.values) * len(columns.values)
    if scattered or max(len(rows.values), len(columns.values)) > _MOST_ALONG_A_SIDE:
        return None
    paths = {
        tuple(setting.values.values()): setting.completed[0].path / "figures" / f"{_PICTURE}.png"
        for setting in settings
        if setting.completed
    }
    if not paths or not all(path.is_file() for path in paths.values()):
        return None
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
    return Plot(_GRID, " ".join([caption, *broken]), figure)
