"""The runs' own figures on the page: a thumbnail of each run, and links to all its figures."""

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path

from hfvae_runner.errors import DataError
from hfvae_runner.report import pictures
from hfvae_runner.report.html import address, description, short_name
from hfvae_runner.report.runs import COMPLETED, Run, shown
from hfvae_runner.report.selection import best_first, headline
from hfvae_runner.report.settings import Comparison, as_text, natural
from hfvae_runner.report.table import Setting
from hfvae_runner.storage.run_folder import EXPLORER

_PREFERRED = ("traversals", "aggregate_posterior", "topic_words", "reconstructions")
_SIDE = 480
_MOST_CARDS = 100
_AT_ONCE = 2
"""Number of pictures that are unpacked at the same time; each takes up to 160 MB."""


def cards(home: Path, runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Iterator[str]:
    """Yield the HTML of a card for each run that has figures, with one embedded thumbnail, of traversals if possible.

    For more than a hundred runs, only completed runs of the best settings have a card, and the page says so.
    """
    found = [(run, figures) for run in _with_a_card(runs, settings) if (figures := _figures(run))]
    # Pillow releases Python's global lock while it unpacks and scales.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        thumbnails = list(pool.map(partial(_thumbnail, home), [figures for _, figures in found]))
    if found:
        yield f"<h2>Figures of {'each run' if len(runs) <= _MOST_CARDS else 'the best runs'}</h2>"
    if found and len(runs) > _MOST_CARDS:
        yield f'<p class="quiet">{len(found)} of {len(runs):,} runs: one of each setting by descending mean of '
        yield f"{escape(headline(settings).title)}, then the next one of each. The other runs' figures are in their "
        yield "folders, which results.csv names.</p>"
    if found:
        yield '<div class="cards">'
    for (run, figures), thumbnail in zip(found, thumbnails, strict=True):
        yield f"<article>\n<h3>{short_name(run.name, address(run.path, home))}</h3>"
        values = {key: run.texts[key] for key in comparison.varying if key in run.texts}
        yield description(values | ({"seed": as_text(run.config["seed"])} if "seed" in run.config else {}))
        if run.status != COMPLETED:
            yield f'<p class="failed">{escape(run.status)}</p>'
        yield thumbnail
        links = [_link(home, path) for path in figures]
        if (run.path / EXPLORER).is_file():
            links.append(f'<a href="{address(run.path / EXPLORER, home)}">explore the latents</a>')
        yield f"<p>{' · '.join(links)}</p>\n</article>"
    if found:
        yield "</div>"


def _with_a_card(runs: Sequence[Run], settings: Sequence[Setting]) -> Sequence[Run]:
    return runs if len(runs) <= _MOST_CARDS else list(islice(best_first(settings), _MOST_CARDS))


def _figures(run: Run) -> list[Path]:
    return sorted((run.path / "figures").glob("*.png"), key=lambda path: natural(path.stem))


def _thumbnail(home: Path, figures: Sequence[Path]) -> str:
    by_name = {path.stem: path for path in figures}
    path = next((by_name[name] for name in _PREFERRED if name in by_name), figures[0])
    try:
        jpeg, width, height = pictures.thumbnail(path, _SIDE)
    except DataError as error:
        return f'<p class="failed">{escape(shown(str(error)))}</p>'
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    image = f'<img src="{source}" alt="{_name(path)}" width="{width}" height="{height}" loading="lazy">'
    return f'<a href="{address(path, home)}">{image}</a>'


def _link(home: Path, path: Path) -> str:
    return f'<a href="{address(path, home)}">{_name(path)}</a>'


def _name(path: Path) -> str:
    return escape(shown(path.stem).replace("_", " "))
