"""Small parts of the page: cells, tables, lists, links."""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from hfvae_runner.report.settings import MISSING

_HASHED = re.compile(r".{16,}-([0-9a-f]{8})")
"""The name of a run folder that is named after its overrides, which other columns show."""


class Cell(NamedTuple):
    """A cell of a sortable table.

    Attributes:
        text: the text shown; the sign of a missing value is not a sort key.
        number: the number to sort by, if not by the text.
        small: a line below the text, in small letters.
        link: the address of a link on the text.
        title: the tooltip of the link.
        kind: the names of its CSS classes.
    """

    text: str
    number: float | None = None
    small: str = ""
    link: str = ""
    title: str = ""
    kind: str = ""


def setting(text: str) -> Cell:
    """Return the cell of a setting, sorted as a number if it is one."""
    try:
        number = float(text)
    except ValueError:
        return Cell(text, kind="words" if text != MISSING else "")
    return Cell(text, number if math.isfinite(number) else None)


def table(caption: str, heads: Mapping[str, bool], rows: Iterable[list[Cell]]) -> Iterator[str]:
    """Yield the HTML of a sortable table that scrolls in its own frame.

    Args:
        caption: the table's caption.
        heads: the columns' titles, and whether each column holds words.
        rows: the cells of each row.
    """
    label = escape(caption.partition(":")[0])
    yield f'<div class="wide" role="region" aria-label="{label}" tabindex="0">\n<table class="sortable">'
    yield f"<caption><span>{escape(caption)}</span></caption>"
    titles = "".join(
        f'<th scope="col"{_kind("words" if words else "")}>{escape(title)}</th>' for title, words in heads.items()
    )
    yield f"<thead><tr>{titles}</tr></thead>\n<tbody>"
    for row in rows:
        yield f"<tr>{''.join(map(_cell, row))}</tr>"
    yield "</tbody>\n</table>\n</div>"


def description(values: Mapping[str, str]) -> str:
    """Return the HTML of a list of settings and their values."""
    items = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in values.items())
    return f"<dl>{items}</dl>"


def address(path: Path, home: Path) -> str:
    """Return the path as an escaped address relative to ``home``; neither path contains symbolic links."""
    return escape(quote_from_bytes(os.fsencode(os.path.relpath(path, home))))


def short_text(name: str) -> str:
    """Return a run's name on the page; a long name made of its settings is shortened to the hash at its end."""
    hashed = _HASHED.fullmatch(name)
    return f"…{hashed[1]}" if hashed else name


def short_name(name: str, link: str) -> str:
    """Return the HTML of a link to a run's folder, with its whole name as the tooltip."""
    return f'<a href="{link}/" title="{escape(name)}">{escape(short_text(name))}</a>'


def count(number: int, what: str) -> str:
    """Return the number with its noun, in the singular or the plural."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cell(cell: Cell) -> str:
    order = ""
    if cell.text == MISSING:
        order = " data-missing"
    elif cell.number is not None:
        order = f' data-number="{cell.number!r}"'
    text = escape(cell.text)
    if cell.link:
        title = f' title="{escape(cell.title)}"' if cell.title else ""
        text = f'<a href="{cell.link}"{title}>{text}</a>'
    small = f"<small>{escape(cell.small)}</small>" if cell.small else ""
    return f"<td{_kind(cell.kind)}{order}>{text}{small}</td>"


def _kind(names: str) -> str:
    return f' class="{names}"' if names else ""
