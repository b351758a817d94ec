"""The runs' own figures on the page: a thumbnail each, and links to all of them in full."""

import base64
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from hfvae_runner.errors import DataError
from hfvae_runner.report import pictures
from hfvae_runner.report.html import address, description
from hfvae_runner.report.runs import COMPLETED, Run, shown
from hfvae_runner.report.settings import Comparison, as_text, natural, settings_of

_PREFERRED = ("traversals", "aggregate_posterior", "topic_words", "reconstructions")
_SIDE, _SMALLEST = 480, 160
_RUNS = 100
"""How many runs have thumbnails of full size; more share the same room on the page."""


def cards(home: Path, runs: Sequence[Run], comparison: Comparison) -> Iterator[str]:
    """A card per run that has figures: one of them embedded in small, traversals where it has them."""
    found = [(run, figures) for run in runs if (figures := _figures(run))]
    side = max(_SMALLEST, round(_SIDE * min(1.0, math.sqrt(_RUNS / max(1, len(found))))))
    if found:
        yield '<h2>Figures of each run</h2>\n<div class="cards">'
    for run, figures in found:
        yield f'<article>\n<h3><a href="{address(run.path, home)}/">{escape(run.name)}</a></h3>'
        settings = settings_of(run.config)
        values = {key: as_text(settings[key]) for key in comparison.varying if key in settings}
        yield description(values | ({"seed": as_text(run.config["seed"])} if "seed" in run.config else {}))
        if run.status != COMPLETED:
            yield f'<p class="failed">{escape(run.status)}</p>'
        yield _thumbnail(home, figures, side)
        yield f"<p>{' · '.join(_link(home, path) for path in figures)}</p>\n</article>"
    if found:
        yield "</div>"


def _figures(run: Run) -> list[Path]:
    return sorted((run.path / "figures").glob("*.png"), key=lambda path: natural(path.stem))


def _thumbnail(home: Path, figures: Sequence[Path], side: int) -> str:
    by_name = {path.stem: path for path in figures}
    path = next((by_name[name] for name in _PREFERRED if name in by_name), figures[0])
    try:
        jpeg, width, height = pictures.thumbnail(path, side)
    except DataError as error:
        return f'<p class="failed">{escape(shown(str(error)))}</p>'
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    image = f'<img src="{source}" alt="{_name(path)}" width="{width}" height="{height}" loading="lazy">'
    return f'<a href="{address(path, home)}">{image}</a>'


def _link(home: Path, path: Path) -> str:
    return f'<a href="{address(path, home)}">{_name(path)}</a>'


def _name(path: Path) -> str:
    return escape(shown(path.stem).replace("_", " "))
