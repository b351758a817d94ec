"""The KL per factor over training (JointVAE, Fig. 7)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from hfvae_runner.figures import style

Floats = NDArray[np.floating[Any]]

LINE_HEIGHT = 0.055
"""Least distance between two labels, as a share of the axes' height."""

COLLAPSED = 0.02
"""The KL in nats below which a continuous factor gets no label."""


class _Label(NamedTuple):
    end: float
    text: str
    color: str


@style.styled
def kl_history(steps: NDArray[np.number[Any]], kl: Floats, names: Sequence[str], discrete: Sequence[bool]) -> Figure:
    """Draw one line per factor; label the largest factors that have not collapsed and every discrete one.

    Args:
        steps: [T], T ≥ 1, optimiser steps.
        kl: [T, F] in nats per example.
        names: of the F factors.
        discrete: whether each of the F factors is discrete.
    """
    ranked = sorted(range(len(names)), key=lambda factor: -kl[-1, factor])
    lively = [factor for factor in ranked if not discrete[factor] and kl[-1, factor] >= COLLAPSED]
    named = lively[: len(style.SEQUENCE)]
    color_of = dict(zip(named, style.SEQUENCE, strict=False))
    color_of |= {factor: style.DISCRETE for factor in ranked if discrete[factor]}
    figure = style.new_figure(9.5, 5)
    axes = figure.subplots()
    axes.grid(axis="y")
    marker = "o" if len(steps) == 1 else ""
    for factor in reversed(ranked):
        width = 2.6 if discrete[factor] else 2.0 if factor in color_of else 1.2
        color = color_of.get(factor, style.FAINT)
        axes.plot(steps, kl[:, factor], color=color, linewidth=width, marker=marker, label=names[factor])
    axes.set(title="KL to the prior, per latent variable, over training", xlabel="optimiser step")
    axes.set_ylabel("KL / nats per example")
    axes.set_xlim(min(steps[0], steps[-1] - 1), steps[-1])
    axes.set_ylim(0, max(float(1.05 * kl.max()), 0.1))

    labels = [
        _Label(kl[-1, factor], f"{names[factor]}  {kl[-1, factor]:z.2f}", color_of[factor]) for factor in color_of
    ]
    others = [factor for factor in ranked if factor not in color_of]
    if others:
        largest = float(kl[-1, others].max())
        labels.append(_Label(largest, f"{len(others)} more, up to {largest:z.2f}", style.MUTED))
    _label_line_ends(axes, sorted(labels))
    return figure


def _label_line_ends(axes: Axes, labels: Sequence[_Label]) -> None:
    """Write texts to the right of the axes, each joined to its line's end; `labels` are ascending."""
    top = axes.get_ylim()[1]
    heights = _spread(np.array([label.end for label in labels]), LINE_HEIGHT * top, top)
    beside = axes.get_yaxis_transform()
    for label, height in zip(labels, heights, strict=True):
        axes.plot((1, 1.03), (label.end, height), color=label.color, linewidth=2, transform=beside, clip_on=False)
        axes.text(1.04, height, label.text, fontsize=11, va="center", transform=beside)


def _spread(ends: Floats, gap: float, top: float) -> Floats:
    """Return heights at least `gap` apart that are nearest to the ascending `ends`, from 0 to `top` if they fit."""
    offsets = gap * np.arange(len(ends))
    # Least squares under h_{i+1} ≥ h_i + gap is isotonic regression of the ends with the gaps taken out.
    level = isotonic_regression(ends - offsets).x
    return np.asarray(np.clip(level, 0, max(top - offsets[-1], 0)) + offsets)
