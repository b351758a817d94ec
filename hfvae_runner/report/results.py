"""The tables as files with full precision: ``results.csv``, a row per run, and ``settings.csv``, a row per setting."""

import csv
import io
from collections.abc import Mapping, Sequence

from hfvae_runner.config.schema import GROUPS
from hfvae_runner.report.metrics import places
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import Comparison, as_number, as_text, knobs_of, natural
from hfvae_runner.report.table import Setting

Place = tuple[str, ...]
"""The section, the name, and for nested values the inner name."""

_FIRST = ("folder", "status", "reason", *GROUPS, "seed")
_EXTENT = ("steps", "epochs", "batch_size")
_COST = ("parameters", "wall_seconds", "examples_per_second", "device")
_COUNTS = ("runs", "completed")
_CELLS = (float, int, str, type(None))
_SECTIONS = ("test", "test_sampled", "train", "holdout", "prior", "likelihood")


def results_csv(runs: Sequence[Run], comparison: Comparison) -> str:
    """Return the text of results.csv; a run that has not finished has its config's steps and epochs, and no metrics."""
    own = (*_FIRST, *_EXTENT, *_COST)
    knobs = sorted({key for run in runs for key in knobs_of(run.config)})
    others = [key for key in comparison.keys if key not in knobs and key not in own]
    metrics = [_metrics(run) for run in runs]
    measured = _metric_columns(metrics)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    headings = (*_FIRST, *map(_heading, knobs), *_EXTENT, *others, *_COST, *map("/".join, measured))
    table.writerow(headings)
    for run, leaves in zip(runs, metrics, strict=True):
        described, config, settings = run.section("run"), run.config, run.settings
        table.writerow(
            [
                *(run.name, run.status, run.reason),
                *(_as_cell(settings.get(key)) for key in GROUPS),
                _as_cell(config.get("seed")),
                *(_as_cell(config.get(key)) for key in knobs),
                *(_as_cell(described.get(key, config.get(key))) for key in _EXTENT),
                *(_as_cell(settings.get(key)) for key in others),
                *(_as_cell(described.get(key)) for key in _COST),
                # Inlined: most cells are here, and a call for each would dominate the time.
                *(value if type(value := leaves.get(place)) in _CELLS else as_text(value) for place in measured),
            ]
        )
    return stream.getvalue()


def settings_csv(settings: Sequence[Setting], comparison: Comparison) -> str:
    """Return the text of settings.csv.

    The columns are the settings, ``runs`` and ``completed``, and for every number of the test split its mean, sample
    standard deviation (empty for a single run) and count over the runs that have it. Values of a single numbered latent
    variable are left out, since the order of these variables is arbitrary in each seed.
    """
    import pandas as pd  # takes half a second

    knobs = sorted({key for setting in settings for run in setting.runs for key in knobs_of(run.config)})
    others = [key for key in comparison.varying if key not in (*GROUPS, *knobs)]
    headings = {key: key for key in GROUPS} | {key: _heading(key) for key in knobs} | {key: key for key in others}
    rows, measured = [], []
    for index, setting in enumerate(settings):
        own = setting.runs[0].settings
        row = {title: _as_cell(own.get(key)) for key, title in headings.items()}
        rows.append(row | dict(zip(_COUNTS, (len(setting.runs), len(setting.completed)), strict=True)))
        measured += [(index, _test_numbers(run)) for run in setting.completed]
    table = pd.DataFrame(rows, columns=[*headings.values(), *_COUNTS])
    kept = _metric_columns([numbers for _, numbers in measured])
    if kept:
        columns = list(map("/".join, kept))
        numbers = pd.DataFrame([[row.get(place) for place in kept] for _, row in measured], columns=columns)
        own_setting = [index for index, _ in measured]
        spread = numbers.groupby(own_setting).agg(["mean", "std", "count"]).reindex(table.index)
        spread.columns = ["/".join(pair) for pair in spread.columns]
        counts = [f"{column}/count" for column in columns]
        table = table.join(spread.astype(dict.fromkeys(counts, "Int64")).fillna(dict.fromkeys(counts, 0)))
    return table.to_csv(index=False, lineterminator="\n")


def _test_numbers(run: Run) -> dict[Place, float]:
    found = {place: as_number(value) for place, value in places(run.section("test"), ("test",)).items()}
    return {place: value for place, value in found.items() if value is not None and not place[-1].endswith("]")}


def _as_cell(value: object) -> object:
    """Return the value, or its text if the csv module would write it differently; None and floats are unchanged."""
    return value if type(value) in _CELLS else as_text(value)


def _heading(knob: str) -> str:
    """Return a knob's column name, with a prefix if the tables use the knob's name for another column."""
    taken = knob in (*_FIRST, *_EXTENT, *_COST, *_COUNTS) or "/" in knob
    return f"knob/{knob}" if taken else knob


def _metrics(run: Run) -> dict[Place, object]:
    """Return every value of the sections by its place, without the prior's and the likelihood's names (settings)."""
    found: dict[Place, object] = {}
    for name in _SECTIONS:
        found |= places(run.section(name), (name,))
    for name in ("prior", "likelihood"):
        found.pop((name, "name"), None)
    return found


def _metric_columns(runs: Sequence[Mapping[Place, object]]) -> list[Place]:
    """Sort all places: by section, then in the order of metrics.json, then nested values by name."""
    found = list(dict.fromkeys(place for leaves in runs for place in leaves))
    metrics = list(dict.fromkeys(_metric(place) for place in found))

    def rank(place: Place) -> tuple[int, int, list[tuple[int, float, str]]]:
        return _SECTIONS.index(place[0]), metrics.index(_metric(place)), natural("/".join(place[1:]))

    return sorted(found, key=rank)


def _metric(place: Place) -> str:
    """Return the metric that a place belongs to, also for nested values and entries of lists."""
    return place[1].partition("[")[0]
