"""``report.html``: one page without a script or a request; it shows the runs' own figures where they stand."""

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from hfvae_runner.report.runs import COMPLETED, Run, shown
from hfvae_runner.report.settings import MISSING, Comparison, natural
from hfvae_runner.report.table import METRICS, WALL, Setting, are_words, columns, count_title, spread

_PHONE, _LEGIBLE = 600, 700
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: light-dark(#666, #aaa); --link: light-dark(#0072b2, #6bb8e8) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem }
h1, h2, h3 { line-height: 1.25 }
h2 { margin-top: 2.5rem }
h3 { font-size: 1.05rem; overflow-wrap: anywhere; margin-bottom: .25rem }
a { color: var(--link) }
dl { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .5rem 0 }
dl div { display: flex; gap: .5rem }
dt, figcaption, caption, .quiet { color: var(--quiet) }
dd { margin: 0; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap }
caption { text-align: left }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top }
th { vertical-align: bottom }
small { display: block; color: var(--quiet) }
figure { margin: 1rem 0 }
img { background: white; border-radius: 6px; max-width: 100%; height: auto }
.words { text-align: left }
.thumbnails { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: .8rem; margin: .8rem 0 }
.thumbnails img { width: 100%; aspect-ratio: 3/2; object-fit: contain }
article { border-top: 1px solid var(--line); padding-top: .5rem; margin-top: 1.5rem }
"""


class Picture(NamedTuple):
    """A figure of the sweep: its caption, the bytes of a PNG, and its width on the page in CSS pixels."""

    caption: str
    png: bytes
    width: int


def page(
    home: Path, runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison, pictures: Sequence[Picture]
) -> str:
    """The whole page, to be written to the folder ``home`` (without symbolic links), against which links are."""
    title = f"{shown(home.name) or 'All'}: {_count(len(runs), 'run')}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>",
            *_overview(runs, settings, comparison),
            *_sweep(pictures),
            *_runs(home, settings, comparison),
            "</body>\n</html>\n",
        ]
    )


def _overview(runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Iterator[str]:
    yield '<p>Every value is in <a href="results.csv">results.csv</a>.</p>\n<h2>Settings</h2>'
    if comparison.shared:
        yield f'<p class="quiet">The same for all:</p>\n{_list(comparison.shared)}'
    if comparison.where_defined:
        yield f'<p class="quiet">The same where it is defined:</p>\n{_list(comparison.where_defined)}'
    if settings:
        yield from _table(settings, comparison)
    rest = [run for run in runs if run.status != COMPLETED]
    if rest:
        yield "<h2>Not completed</h2>\n<ul>"
        for run in rest:
            reason = f": {run.reason}" if run.reason else ""
            yield f"<li><strong>{escape(run.name)}</strong> {escape(run.status + reason)}</li>"
        yield "</ul>"


def _table(settings: Sequence[Setting], comparison: Comparison) -> Iterator[str]:
    measured = columns(settings)
    words = {key for key in comparison.varying if are_words([setting.values[key] for setting in settings])}
    yield '<div class="wide">\n<table>'
    yield "<caption>Test split, information in nats per example: mean, and range over the runs of a setting</caption>"
    heads = [_cell("th", key, key in words) for key in comparison.varying]
    heads += [_cell("th", title) for title in (count_title(settings), *measured)]
    yield f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>"
    for row, setting in enumerate(settings):
        cells = [_cell("td", value, key in words) for key, value in setting.values.items()]
        cells.append(_cell("td", setting.count))
        for column in measured.values():
            cell = column[row]
            bounds = f"<small>[{cell.least}, {cell.most}]</small>" if cell and cell.n > 1 else ""
            cells.append(f"<td>{cell.mean if cell else MISSING}{bounds}</td>")
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody>\n</table>\n</div>"


def _cell(tag: str, text: str, words: bool = False) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    aligned = ' class="words"' if words else ""
    return f"<{tag}{scope}{aligned}>{escape(text)}</{tag}>"


def _sweep(pictures: Sequence[Picture]) -> Iterator[str]:
    if pictures:
        yield "<h2>Figures</h2>"
    for picture in pictures:
        source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
        caption = escape(picture.caption)
        yield f'<figure><div class="wide"><img src="{source}" alt="{caption}"{_room(picture.width)}></div>'
        yield f"<figcaption>{caption}</figcaption></figure>"


def _room(width: int) -> str:
    """A wide figure stays legible on a phone and scrolls; a narrow one shrinks to fit."""
    least = min(width, _LEGIBLE) if width > _PHONE else 0
    return f' width="{width}" style="min-width: {least}px"'


def _runs(home: Path, settings: Sequence[Setting], comparison: Comparison) -> Iterator[str]:
    if settings:
        yield "<h2>Runs</h2>"
    for setting in settings:
        for run in setting.runs:
            yield f"<article>\n<h3>{escape(run.name)}</h3>"
            seed = {"seed": str(run.config.get("seed"))}
            yield _list({key: setting.values[key] for key in comparison.varying} | seed)
            if run.status == COMPLETED:
                cells = {metric.title: spread([run], metric) for metric in (*METRICS, WALL)}
                yield _list({title: cell.mean for title, cell in cells.items() if cell})
            else:
                yield f"<p><strong>{escape(run.status)}</strong> {escape(run.reason)}</p>"
            yield from _thumbnails(home, run)
            yield "</article>"


def _thumbnails(home: Path, run: Run) -> Iterator[str]:
    figures = sorted((run.path / "figures").glob("*.png"), key=lambda path: natural(path.stem))
    if not figures:
        return
    yield '<div class="thumbnails">'
    for path in figures:
        link = escape(quote_from_bytes(os.fsencode(os.path.relpath(path, home))))
        name = escape(shown(path.stem).replace("_", " "))
        image = f'<img src="{link}" alt="{name}" loading="lazy">'
        yield f'<a href="{link}">{image}<small>{name}</small></a>'
    yield "</div>"


def _list(values: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in values.items())
    return f"<dl>{items}</dl>"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
