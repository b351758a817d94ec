"""Draws a study's figure, in one of the forms that papers use."""

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.figures import boxes, heat_map, picture_column, picture_grid, sweep, trade_off
from hfvae_runner.figures.looks import Floats, Key
from hfvae_runner.figures.picture_grid import Picture, Side
from hfvae_runner.figures.trade_off import Axis, Panel
from hfvae_runner.report import correlations, pictures
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_text, natural
from hfvae_runner.reproduce.runs import Found, place_of, value_of
from hfvae_runner.reproduce.study import Quantity

_NAME = re.compile(r"\w+")
"""Of a figure in a run's folder; a study's file must not lead out of that folder."""


def figure(found: Found) -> Figure | None:
    """Draw the study's figure, or return that of its computation; None where no run of it has completed.

    Raises:
        ConfigError: the study's file does not say what its kind of figure needs.
    """
    if found.study.figure.kind == "computed":
        return None if found.computed is None else found.computed.figure
    members = [(group.label, run) for group in found.study.figure.groups for run in found.completed(group.runs)]
    if not members:
        return None
    drawn = {
        "boxes": _boxes, "lines": _lines, "scatter": _scatter, "pictures": _pictures, "figures": _figures,
        "correlations": _correlations,
    }  # fmt: skip
    return drawn[found.study.figure.kind](found, [label for label, _ in members], [run for _, run in members])


def _boxes(found: Found, labels: Sequence[str], runs: Sequence[Run]) -> Figure:
    return boxes.boxes(_panels(found, runs), _key("", labels, found))


def _lines(found: Found, labels: Sequence[str], runs: Sequence[Run]) -> Figure:
    setting = found.study.figure.x
    if not isinstance(setting, str):
        raise ConfigError("figure.x: expected the key of a setting, such as beta, for lines")
    places = [place_of(run, setting) for run in runs]
    known = [index for index, place in enumerate(places) if place is not None]
    if not known:
        raise ConfigError(f"figure.x={setting}: no run has this setting; expected a numeric one")
    kept = [runs[index] for index in known]
    key = _key("", [labels[index] for index in known], found)
    x = np.array([places[index] for index in known], float)
    numbers = [key.ranked.index(label) for label in key.labels]
    ticks = {float(at): run.texts[setting] for at, run in zip(x, kept, strict=True)}
    return sweep.against(setting, x, _panels(found, kept), numbers, key, ticks=ticks)


def _scatter(found: Found, labels: Sequence[str], runs: Sequence[Run]) -> Figure:
    plot = found.study.figure
    if not isinstance(plot.x, Quantity) or not plot.y:
        raise ConfigError("figure: expected x and y, numbers of metrics.json, for scatter")
    across = Axis(plot.x_title or plot.x.metric, _values(runs, plot.x))
    texts = [run.texts.get(plot.size, "") if plot.size else "" for run in runs]
    size = None if plot.size is None else Key(plot.size, texts, sorted(set(texts), key=natural))
    settings = [sorted(set(zip(labels, texts, strict=True))).index(each) for each in zip(labels, texts, strict=True)]
    panels = [Panel(across, Axis(title, _values(runs, y))) for title, y in plot.y.items()]
    return trade_off.trade_off(found.study.title, panels, settings, color=_key("", labels, found), size=size)


def _pictures(found: Found, _: Sequence[str], runs: Sequence[Run]) -> Figure:
    plot = found.study.figure
    if plot.rows is None or plot.columns is None or plot.picture != "aggregate_posterior":
        raise ConfigError("figure: expected rows, columns and picture=aggregate_posterior for pictures")
    rows, columns = (
        Side(key, sorted({run.texts.get(key, "") for run in runs}, key=natural)) for key in (plot.rows, plot.columns)
    )
    first = min(runs, key=lambda run: natural(as_text(run.config.get("seed")))).config.get("seed")
    cells: list[list[Picture | str]] = [["not completed"] * len(columns.values) for _ in rows.values]
    for run in runs:
        if run.config.get("seed") != first:
            continue
        r, c = rows.values.index(run.texts.get(plot.rows, "")), columns.values.index(run.texts.get(plot.columns, ""))
        try:
            cells[r][c] = pictures.aggregate_posterior(run.path / "figures" / f"{plot.picture}.png")
        except DataError:
            cells[r][c] = "no picture"
    return picture_grid.picture_grid(found.study.title, rows, columns, cells)


def _figures(found: Found, _: Sequence[str], runs: Sequence[Run]) -> Figure:
    shown: list[tuple[str, Picture | str]] = []
    for group in found.study.figure.groups:
        if group.picture is None or not _NAME.fullmatch(group.picture):
            what = f"picture={group.picture}: expected the name of a run's figure, such as traversals"
            raise ConfigError(f"figure: group {group.label}: {what}")
        members = found.completed(group.runs)
        shown.append((group.label, "not completed" if not members else _own(members[0], group.picture)))
    return picture_column.picture_column(found.study.title, shown)


def _own(run: Run, name: str) -> Picture | str:
    try:
        return pictures.whole(run.path / "figures" / f"{name}.png")
    except DataError:
        return "no picture"


def _correlations(found: Found, labels: Sequence[str], runs: Sequence[Run]) -> Figure:
    plot = found.study.figure
    rows, columns = Side("", [*plot.against, *reversed(list(plot.y))]), Side("", list(plot.y))
    numbers = {title: _values(runs, quantity) for title, quantity in (*plot.y.items(), *plot.against.items())}
    panels = {}
    for label in dict.fromkeys(labels):
        own = np.array([each == label for each in labels])
        sides = ([numbers[name][own] for name in side.values] for side in (rows, columns))
        panels[f"{label}, {own.sum()} runs"] = correlations.table(*sides)
    states = [[heat_map.DONE] * len(columns.values) for _ in rows.values]
    title = f"{found.study.title}: rank correlations"
    return heat_map.heat_maps(title, rows, columns, panels, states, correlations=True)


def _panels(found: Found, runs: Sequence[Run]) -> dict[str, Floats]:
    return {title: _values(runs, quantity) for title, quantity in found.study.figure.y.items()}


def _values(runs: Sequence[Run], quantity: Quantity) -> Floats:
    """The quantity of each run, [R], NaN where a run has none."""
    values = [value_of(run, quantity) for run in runs]
    return np.array([np.nan if value is None else value for value in values], float)


def _key(title: str, labels: Sequence[str], found: Found) -> Key:
    ranked = [group.label for group in found.study.figure.groups if group.label in labels]
    return Key(title, list(labels), list(dict.fromkeys(ranked)))
