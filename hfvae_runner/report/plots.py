"""Chooses the figures that a set of runs allows."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hfvae_runner.config.schema import GROUPS
from hfvae_runner.figures import exponents, sweep
from hfvae_runner.report.comparisons import BOXES, TRADE_OFFS, box_plots, trade_offs
from hfvae_runner.report.correlations import CORRELATIONS, correlations
from hfvae_runner.report.dots import Dot, Plot, both_fix, dots_of, keys_of, measured, place
from hfvae_runner.report.grids import GRID, HEAT, heat_maps, picture_grids
from hfvae_runner.report.runs import COMPLETED, Run
from hfvae_runner.report.settings import as_number
from hfvae_runner.report.table import Setting

_AGAINST, _EXPONENTS = "against_", "learned_exponents"
NAMES = (f"{_AGAINST}*", *TRADE_OFFS, BOXES, CORRELATIONS, f"{HEAT}*", f"{_EXPONENTS}*", GRID)
"""Patterns of all names that a figure may have."""
_LONGEST = 100


def plots(settings: Sequence[Setting]) -> Iterator[Plot]:
    """Yield all figures that the runs allow, each with a unique name.

    - The metrics against each numeric setting that varies within the same choices. Numbers that vary only together
      share an axis. All other settings distinguish lines; a line needs two places.
    - Two metrics against each other, with the front of the best settings, for two or more runs.
    - Box plots, if there are several objectives with several runs each.
    - Rank correlations of the metrics, for five or more runs.
    - Heat maps over every two numeric settings that form a grid.
    - The exponents of priors that learned them, with a figure for each number of exponents.
    - The aggregate posteriors as a grid, if two settings vary and every completed run has that figure.
    """
    names: set[str] = set()
    for plot in _plots(settings):
        # Names may collide: some characters are replaced in file names, and long names are cut.
        stem = re.sub(r"[^\w.-]", "_", plot.name, flags=re.ASCII)[:_LONGEST]
        name = next(each for each in (stem, *(f"{stem}_{i}" for i in range(2, len(names) + 3))) if each not in names)
        names.add(name)
        yield replace(plot, name=name)


def _plots(settings: Sequence[Setting]) -> Iterator[Plot]:
    started = dots_of(settings)
    dots = [dot for dot in started if dot.run.status == COMPLETED]
    keys = list(settings[0].values) if settings else []
    shown: set[str] = set()
    for key in keys:
        plot = None if key in shown else _against(key, dots)
        if plot is not None:
            shown.update(plot.shown)
            yield plot
    yield from trade_offs(keys, dots)
    yield from box_plots(dots)
    yield from correlations(dots)
    yield from heat_maps(keys, started)
    yield from _learned_exponents([dot.run for dot in dots])
    yield from picture_grids(keys, settings)


def _against(key: str, dots: Sequence[Dot]) -> Plot | None:
    numeric = [dot for dot in dots if place(dot, key) is not None]
    others = [other for other in (numeric[0].values if numeric else ()) if other != key]
    tied = [other for other in others if other not in GROUPS and both_fix(other, key, numeric)]
    apart = [other for other in others if other not in tied]
    lines: dict[tuple[str, ...], list[Dot]] = {}
    for dot in numeric:
        lines.setdefault(tuple(dot.values[other] for other in apart), []).append(dot)
    moving = [line for line in lines.values() if len({place(dot, key) for dot in line}) > 1]
    chosen = [dot for line in moving for dot in line]
    panels = {metric.axis: values for metric, values in measured(chosen).items()}
    if not panels:
        return None
    x = np.array([place(dot, key) for dot in chosen], float)
    title = f"{key}, and {', '.join(tied)} with it" if tied else key
    color, shape, _ = keys_of(apart, chosen)
    figure = sweep.against(
        title, x, panels, [number for number, line in enumerate(moving) for _ in line], color, shape,
        ticks={float(number): dot.values[key] for number, dot in zip(x, chosen, strict=True)},
    )  # fmt: skip
    caption = (
        f"Metrics of the test split against {title}: a dot per run, lines through the means. Where a setting has "
        "several seeds, the band is one standard deviation to either side."
    )
    return Plot(f"{_AGAINST}{key}", caption, figure, (key, *tied))


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
    """Return the numbers of a list; an empty list if it is not a list of numbers only."""
    numbers = [as_number(value) for value in values] if isinstance(values, list) else []
    finite = [number for number in numbers if number is not None]
    return finite if len(finite) == len(numbers) else []
