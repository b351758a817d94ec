"""Helpers of the figures over many runs: runs as dots, and the colour, shape and size of their settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.figures.looks import SHAPES, Floats, Key
from hfvae_runner.report.metrics import METRICS, Metric
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_number, natural
from hfvae_runner.report.table import Setting


class Dot(NamedTuple):
    """A run, its varying settings as text, the number of its setting, and all of its settings."""

    run: Run
    values: Mapping[str, str]
    setting: int
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Plot:
    """A figure with its file name (without .png), a caption of one or two sentences, and the settings on its axes."""

    name: str
    caption: str
    figure: Figure
    shown: tuple[str, ...] = ()


class Keys(NamedTuple):
    """The settings that colour, shape and size represent."""

    color: Key | None
    shape: Key | None
    size: Key | None


def dots_of(settings: Sequence[Setting]) -> list[Dot]:
    """Return all runs of the settings as dots, completed or not."""
    return [
        Dot(run, setting.values, number, run.settings)
        for number, setting in enumerate(settings)
        for run in setting.runs
    ]


def place(dot: Dot, key: str) -> float | None:
    """Return the value of a numeric setting; None for any other."""
    return as_number(dot.settings.get(key))


def both_fix(other: str, key: str, dots: Sequence[Dot]) -> bool:
    """Return whether the two settings vary, and each value of one occurs with a single value of the other."""
    pairs = {(dot.values[key], dot.values[other]) for dot in dots}
    return len(pairs) > 1 and len(pairs) == len({value for value, _ in pairs}) == len({value for _, value in pairs})


def keys_of(keys: Sequence[str], dots: Sequence[Dot]) -> Keys:
    """Choose the settings that colour, shape and size represent.

    The first setting that distinguishes dots gets the colours. Of the following ones that distinguish further dots, the
    first with few values gets the shapes, and the first other one with only numbers gets the sizes.
    """
    color, shape, size = None, None, None
    told: list[tuple[str, ...]] = [()] * len(dots)
    for key in keys:
        labels = [dot.values[key] for dot in dots]
        both = [(*before, label) for before, label in zip(told, labels, strict=True)]
        # Skip a setting that the chosen ones determine, since it would show the same twice.
        if len(set(both)) == len(set(told)):
            continue
        own = Key(key, labels, sorted(set(labels), key=natural))
        if color is None:
            color = own
        elif shape is None and len(own.ranked) <= len(SHAPES):
            shape = own
        elif size is None and all(place(dot, key) is not None for dot in dots):
            size = own
        else:
            continue
        told = both
    return Keys(color, shape, size)


def values_of(metric: Metric, dots: Sequence[Dot]) -> Floats:
    """Return the metric of each dot, [R]; NaN for a missing value."""
    return np.array([metric.of(dot.run) for dot in dots], float)


def measured(dots: Sequence[Dot]) -> dict[Metric, Floats]:
    """Return the metrics that at least one dot has, with their values [R]."""
    values = {metric: values_of(metric, dots) for metric in METRICS}
    return {metric: found for metric, found in values.items() if not np.isnan(found).all()}
