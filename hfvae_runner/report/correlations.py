"""Whether the metrics rank a sweep's runs alike (Locatello et al. 2019, Fig. 2)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.figures import heat_map
from hfvae_runner.figures.heat_map import DONE
from hfvae_runner.figures.looks import Floats
from hfvae_runner.figures.picture_grid import Side
from hfvae_runner.report.dots import Dot, Plot, measured

CORRELATIONS = "correlations"
_FEWEST = 5
"""Runs; of fewer, most correlations are near 1 or −1 by chance."""


def spearman(pairs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return Spearman's correlation of R samples of n pairs, [R, n, 2] -> [R]; NaN where a column is constant."""
    # scipy.stats takes half a second to import.
    from scipy.stats import rankdata

    ranks = rankdata(pairs, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=1).prod(axis=1))
    products = centred.prod(axis=2).sum(axis=1)
    return np.asarray(np.divide(products, scale, out=np.full(len(pairs), np.nan), where=scale > 0))


def table(rows: Sequence[Floats], columns: Sequence[Floats]) -> NDArray[np.float64]:
    """Return Spearman's correlation of each row's numbers with each column's, over the runs that have both.

    Args:
        rows, columns: numbers of R runs each, [R], NaN where a run has none.

    Returns:
        [rows, columns]; NaN where one number is the same in all runs, or no run has both.
    """
    return np.array([[_of_both(x, y) for y in columns] for x in rows])


def correlations(dots: Sequence[Dot]) -> Iterator[Plot]:
    """Yield the figure of all metrics' rank correlations, for five or more runs and two or more metrics that vary."""
    if len(dots) < _FEWEST:
        return
    found = {metric.title: values for metric, values in measured(dots).items()}
    varying = {title: values for title, values in found.items() if np.nanmin(values) < np.nanmax(values)}
    if len(varying) < 2:
        return
    names = list(varying)
    cells = table([varying[name] for name in reversed(names)], [varying[name] for name in names])
    same = [title for title in found if title not in varying]
    left_out = f" Left out, as they are the same in all runs: {', '.join(same)}." if same else ""
    figure = heat_map.heat_maps(
        "Do the metrics rank the runs alike?",
        Side("", names[::-1]),
        Side("", names),
        {f"Spearman's rank correlation, {len(dots)} runs": cells},
        [[DONE] * len(names)] * len(names),
        correlations=True,
    )
    yield Plot(
        CORRELATIONS, f"Rank correlations of the metrics of the test split over {len(dots)} runs.{left_out}", figure
    )


def _of_both(x: Floats, y: Floats) -> float:
    known = ~np.isnan(x) & ~np.isnan(y)
    return float(spearman(np.column_stack([x[known], y[known]])[None])[0]) if known.any() else np.nan
