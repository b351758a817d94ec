"""The files of a user's own data that a config names, and whether they have changed."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_OPTIONS = ("file", "test_file", "folder", "test_folder")


def standing_of(section: Mapping[str, object]) -> tuple[object, ...]:
    """Return the absolute names, sizes and times of change of the files that a section ``dataset`` names.

    A folder stands for all files at or below it. What is missing is left out: whoever reads it says so.
    """
    named = (section.get(option) for option in _OPTIONS)
    return tuple(entry for name in named if isinstance(name, str) for entry in _entries(Path(name)))


def _entries(path: Path) -> Iterator[tuple[str, int, int]]:
    if path.is_dir():
        for place, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                yield from _entries(Path(place, name))
    elif path.is_file():
        found = path.stat()
        yield os.path.abspath(path), found.st_size, found.st_mtime_ns
