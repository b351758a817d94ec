"""The data of the page's plots, as JSON that its script reads.

Numbers have six significant digits, since thousands of runs are in one page.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hfvae_runner.errors import DataError
from hfvae_runner.report import intervals
from hfvae_runner.report.cells import address
from hfvae_runner.report.histories import curves
from hfvae_runner.report.metrics import METRICS, WALL, Metric
from hfvae_runner.report.runs import Run, shown
from hfvae_runner.report.settings import MISSING, Comparison, as_number, as_text
from hfvae_runner.report.table import Setting

_RESAMPLES = 999
_DIGITS = 6
_SEED = "seed"


def content(home: Path, settings: Sequence[Setting], comparison: Comparison, near: Sequence[Run]) -> dict[str, object]:
    """Return what the script needs.

    Args:
        home: the report's folder, which links are relative to.
        settings: all settings with their runs.
        comparison: of the runs' settings.
        near: the runs whose training curves and whole configs are in the page.

    Returns:
        A dict for JSON. R is the number of completed runs, in the order of the settings.

        - ``columns``: title, unit and whether it is a metric, of each knob and metric.
        - ``values``: R values of each column, numbers or words or null.
        - ``runs``: R names; ``links``: R addresses; ``setting``: R numbers of settings.
        - ``means``: by metric and setting, [mean, low, high] with the 95 % bootstrap interval over the seeds. The
          bounds are null for fewer than three runs, and the whole is null if no run has the metric.
        - ``curves``: of each run in ``near`` that has a history; ``broken``: a line on each history that is malformed.
        - ``configs``: name and settings as text of each run in ``near``; ``defaults``: those of a command without
          overrides.
    """
    numbered = [(number, run) for number, setting in enumerate(settings) for run in setting.completed]
    runs = [run for _, run in numbered]
    knobs = [*comparison.varying, _SEED] if any(_SEED in run.config for run in runs) else list(comparison.varying)
    measured = [metric for metric in (*METRICS, WALL) if any(metric.of(run) is not None for run in runs)]
    columns = [{"title": key, "unit": "", "metric": False} for key in knobs]
    columns += [{"title": each.title, "unit": each.unit, "metric": True} for each in measured]
    values: list[list[object]] = [[_knob(run, key) for run in runs] for key in knobs]
    values += [[_rounded(metric.of(run)) for run in runs] for metric in measured]
    lines, broken = _curves(near)
    return {
        "columns": columns,
        "values": values,
        "runs": [run.name for run in runs],
        "links": [f"{address(run.path, home)}/" for run in runs],
        "setting": [number for number, _ in numbered],
        "means": {metric.title: _means(settings, metric) for metric in measured},
        "curves": lines,
        "broken": broken,
        "configs": [{"run": run.name, "settings": run.texts} for run in near if run.config],
        "defaults": json.loads((Path(__file__).parent / "defaults.json").read_text(encoding="utf-8")),
    }


def _knob(run: Run, key: str) -> object:
    value = run.config.get(key) if key == _SEED else run.settings.get(key)
    number = as_number(value)
    if number is not None:
        return value
    return as_text(value) if value is not None else MISSING


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")


def _means(settings: Sequence[Setting], metric: Metric) -> list[list[float | None] | None]:
    """Return [mean, low, high] of each setting; None without a value, and None as bounds for too few runs."""
    found: list[list[float | None] | None] = [None] * len(settings)
    of_size: dict[int, list[tuple[int, list[float]]]] = {}
    for number, setting in enumerate(settings):
        values = [value for run in setting.completed if (value := metric.of(run)) is not None]
        if values:
            found[number] = [_rounded(math.fsum(values) / len(values)), None, None]
        if len(values) >= intervals.FEWEST:
            of_size.setdefault(len(values), []).append((number, values))
    for group in of_size.values():
        bounds = intervals.of_means(np.array([values for _, values in group]), _RESAMPLES)
        for (number, values), (low, high) in zip(group, bounds, strict=True):
            found[number] = [_rounded(math.fsum(values) / len(values)), _rounded(float(low)), _rounded(float(high))]
    return found


def _curves(runs: Sequence[Run]) -> tuple[list[dict[str, object]], list[str]]:
    found: list[dict[str, object]] = []
    broken = []
    for run in runs:
        try:
            own = curves(run)
        except DataError as error:
            broken.append(shown(f"{run.name}: {error}"))
            continue
        if own is not None:
            found.append({"run": run.name, "step": own.step, "values": own.values})
    return found, broken
