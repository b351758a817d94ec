"""The runs' own figures on the page: a thumbnail of each run, and links to all its figures."""

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hfvae_runner.errors import DataError
from hfvae_runner.report import pictures
from hfvae_runner.report.cells import address, short_text
from hfvae_runner.report.runs import COMPLETED, Run, shown
from hfvae_runner.report.selection import best_first, headline
from hfvae_runner.report.settings import Comparison, as_text, natural
from hfvae_runner.report.table import Setting
from hfvae_runner.storage.run_folder import EXPLORER

_PREFERRED = ("traversals", "aggregate_posterior", "topic_words", "reconstructions")
_SIDE = 480
MOST_CARDS = 100
_AT_ONCE = 2
"""Number of pictures that are unpacked at the same time; each takes up to 160 MB."""


class Link(NamedTuple):
    """An address relative to the report's folder, and its text."""

    address: str
    text: str


class Thumbnail(NamedTuple):
    """A small version of a figure.

    Attributes:
        figure: the figure itself.
        source: a data URL; empty if the figure cannot be read.
        width, height: in CSS pixels.
        error: why the figure cannot be read.
    """

    figure: Link
    source: str
    width: int
    height: int
    error: str


class Card(NamedTuple):
    """What the page shows of a run that has figures.

    Attributes:
        folder: of the run.
        name: the whole name.
        values: the varying settings and the seed, as text.
        status: empty if the run is completed.
        thumbnail: of one figure.
        links: to all figures, and to the page on the latents if there is one.
    """

    folder: Link
    name: str
    values: Mapping[str, str]
    status: str
    thumbnail: Thumbnail
    links: Sequence[Link]


class Cards(NamedTuple):
    """The section of the page: its heading, the rule by which runs were chosen if not all are there, and the cards."""

    heading: str
    rule: str
    cards: Sequence[Card]


def with_a_card(runs: Sequence[Run], settings: Sequence[Setting]) -> Sequence[Run]:
    """Return the runs that the page shows closely: all of at most a hundred, else runs of the best settings."""
    return runs if len(runs) <= MOST_CARDS else list(islice(best_first(settings), MOST_CARDS))


def cards(home: Path, runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Cards:
    """Return a card for each run that has figures, with one embedded thumbnail, of traversals if possible.

    For more than a hundred runs, only completed runs of the best settings have a card, and the rule says so.
    """
    found = [(run, figures) for run in with_a_card(runs, settings) if (figures := _figures(run))]
    # Pillow releases Python's global lock while it unpacks and scales.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        thumbnails = list(pool.map(partial(_thumbnail, home), [figures for _, figures in found]))
    rule = ""
    if len(runs) > MOST_CARDS:
        best = headline(settings).title
        rule = (
            f"{len(found)} of {len(runs):,} runs: one of each setting by descending mean of {best}, then the next one "
            "of each; results.csv names the folders of the others."
        )
    heading = f"Figures of {'each run' if len(runs) <= MOST_CARDS else 'the best runs'}"
    made = [
        _card(home, run, figures, thumbnail, comparison)
        for (run, figures), thumbnail in zip(found, thumbnails, strict=True)
    ]
    return Cards(heading, rule, made)


def _card(home: Path, run: Run, figures: Sequence[Path], thumbnail: Thumbnail, comparison: Comparison) -> Card:
    values = {key: run.texts[key] for key in comparison.varying if key in run.texts}
    values |= {"seed": as_text(run.config["seed"])} if "seed" in run.config else {}
    links = [Link(address(path, home), _name(path)) for path in figures]
    if (run.path / EXPLORER).is_file():
        links.append(Link(address(run.path / EXPLORER, home), "explore the latents"))
    status = "" if run.status == COMPLETED else run.status
    folder = Link(f"{address(run.path, home)}/", short_text(run.name))
    return Card(folder, run.name, values, status, thumbnail, links)


def _figures(run: Run) -> list[Path]:
    return sorted((run.path / "figures").glob("*.png"), key=lambda path: natural(path.stem))


def _thumbnail(home: Path, figures: Sequence[Path]) -> Thumbnail:
    by_name = {path.stem: path for path in figures}
    path = next((by_name[name] for name in _PREFERRED if name in by_name), figures[0])
    figure = Link(address(path, home), _name(path))
    try:
        jpeg, width, height = pictures.thumbnail(path, _SIDE)
    except DataError as error:
        return Thumbnail(figure, "", 0, 0, shown(str(error)))
    return Thumbnail(figure, f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}", width, height, "")


def _name(path: Path) -> str:
    return shown(path.stem).replace("_", " ")
