"""Parts of the page as values, which the template turns into HTML: cells, tables, links, short names."""

import math
import os
import re
from collections.abc import Mapping, Sequence
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

    @property
    def missing(self) -> bool:
        """Whether there is no value, which is sorted last."""
        return self.text == MISSING


class Head(NamedTuple):
    """A column's title, whether the column holds words, and the tooltip, which explains it."""

    title: str
    words: bool
    about: str = ""


class Table(NamedTuple):
    """A sortable table.

    Attributes:
        heading: above the table; empty for none.
        name: what the table holds, for screen readers.
        caption: a sentence or two on the cells.
        heads: the columns.
        rows: the cells of each row.
    """

    heading: str
    name: str
    caption: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Cell]]


def setting(text: str) -> Cell:
    """Return the cell of a setting, sorted as a number if it is one."""
    try:
        number = float(text)
    except ValueError:
        return Cell(text, kind="words" if text != MISSING else "")
    return Cell(text, number if math.isfinite(number) else None)


def heads(titles: Mapping[str, bool]) -> list[Head]:
    """Return columns without tooltips from their titles, and whether each holds words."""
    return [Head(title, words) for title, words in titles.items()]


def address(path: Path, home: Path) -> str:
    """Return the path as an address relative to ``home``, of ASCII letters, digits and ``%/_.-~`` only.

    Neither path contains symbolic links.
    """
    return quote_from_bytes(os.fsencode(os.path.relpath(path, home)))


def short_text(name: str) -> str:
    """Return a run's name on the page; a long name made of its settings is shortened to the hash at its end."""
    hashed = _HASHED.fullmatch(name)
    return f"…{hashed[1]}" if hashed else name


def count(number: int, what: str) -> str:
    """Return the number with its noun, in the singular or the plural."""
    return f"{number} {what}{'' if number == 1 else 's'}"
