"""``results.csv``: a row per run, numbers to the bit."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import Comparison, as_text, knobs_of, natural, settings_of
from hfvae_runner.schema import GROUPS

_FIRST = ("folder", "status", "reason", *GROUPS, "seed")
_EXTENT = ("steps", "epochs", "batch_size")
_COST = ("parameters", "wall_seconds", "examples_per_second", "device")
_DEEPEST = 2
_SECTIONS = ("test", "train", "holdout", "prior", "likelihood")


def results_csv(runs: Sequence[Run], comparison: Comparison) -> str:
    """The file's text. A run that has not finished has the steps and epochs that were asked for, and no metrics."""
    own = (*_FIRST, *_EXTENT, *_COST)
    knobs = sorted({key for run in runs for key in knobs_of(run.config)})
    others = [key for key in comparison.keys if key not in knobs and key not in own]
    metrics = [list(_metrics(run)) for run in runs]
    columns = [*_FIRST, *(_heading(key) for key in knobs), *_EXTENT, *others, *_COST, *_metric_columns(metrics)]
    stream = io.StringIO()
    table = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    table.writeheader()
    for run, leaves in zip(runs, metrics, strict=True):
        settings = settings_of(run.config)
        values = {"seed": run.config.get("seed")} | {key: settings.get(key) for key in (*GROUPS, *others)}
        values |= {_heading(key): value for key, value in knobs_of(run.config).items()}
        described = run.section("run")
        values |= {key: described.get(key, run.config.get(key)) for key in _EXTENT}
        values |= {key: described.get(key) for key in _COST}
        values |= {"/".join(place): value for place, value in leaves}
        cells = {key: "" if value is None else as_cell(value) for key, value in values.items()}
        table.writerow({"folder": run.name, "status": run.status, "reason": run.reason} | cells)
    return stream.getvalue()


def as_cell(value: object) -> str:
    """The value as text that reads back to the same number."""
    return repr(value) if isinstance(value, float) else as_text(value)


def _heading(knob: str) -> str:
    """An objective may call a knob what the table calls something else."""
    taken = knob in (*_FIRST, *_EXTENT, *_COST)
    return f"knob/{knob}" if taken else knob


def _metrics(run: Run) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value of the sections with its place: ``("test", "kl_per_factor", "style[0]")``.

    The prior and the likelihood bring what they learned, ``("prior", "exponents[0]")``; their names are settings.
    What is nested deeper, such as every factor's information about every variable, stays in metrics.json.
    """
    for section in _SECTIONS:
        for place, value in _leaves(run.section(section), (section,)):
            if place not in (("prior", "name"), ("likelihood", "name")):
                yield place, value


def _leaves(section: Mapping[str, object], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            if len(place) < _DEEPEST:
                yield from _leaves(value, (*place, key))
        elif isinstance(value, list):
            yield from _leaves({f"{key}[{i}]": item for i, item in enumerate(value)}, place)
        else:
            yield (*place, key), value


def _metric_columns(runs: Sequence[Sequence[tuple[tuple[str, ...], object]]]) -> list[str]:
    """All places, the test split's first; metrics as metrics.json has them, what is nested in one by name."""
    places = list(dict.fromkeys(place for leaves in runs for place, _ in leaves))
    metrics = list(dict.fromkeys(_metric(place) for place in places))

    def rank(place: tuple[str, ...]) -> tuple[int, int, list[tuple[int, float, str]]]:
        return _SECTIONS.index(place[0]), metrics.index(_metric(place)), natural("/".join(place[1:]))

    return ["/".join(place) for place in sorted(places, key=rank)]


def _metric(place: tuple[str, ...]) -> str:
    """What a place is of, be it nested or one of a list."""
    return place[1].partition("[")[0]
