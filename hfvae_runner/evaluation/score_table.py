"""The table that a score prints: a row a number, a column a file."""

from collections.abc import Mapping, Sequence

_WIDEST = 40


def table(files: Mapping[str, Mapping[str, object]], udr: Mapping[str, float] | None = None) -> str:
    """Every single number of some file, those of ``dci`` and ``udr`` too; below, why what is null is null.

    What a metric says of every factor or variable is in the JSON.
    """
    numbers = {path: _numbers(section) for path, section in files.items()}
    for path, value in ({} if udr is None else udr).items():
        numbers[path]["udr"] = value
    keys = list(dict.fromkeys(key for found in numbers.values() for key, value in found.items() if value is not None))
    titles = _titles(list(files))
    first = max(map(len, keys))
    widths = [max(len(title), 10) + 2 for title in titles]
    lines = [" " * first + "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))]
    for key in keys:
        cells = [_cell(numbers[path].get(key)) for path in files]
        lines.append(f"{key:<{first}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    for note in _notes(files):
        lines.append(note)
    return "\n".join(lines)


def _numbers(section: Mapping[str, object]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for key, value in section.items():
        if isinstance(value, int | float):
            found[key] = value
        elif key.endswith("dci") and isinstance(value, Mapping):
            found |= {f"{key}.{part}": number for part, number in value.items()}
    return found


def _titles(paths: Sequence[str]) -> list[str]:
    """The files' names, or whole paths where two have one name; the end of a long one."""
    names = [path.rpartition("/")[2] for path in paths]
    shown = names if len(set(names)) == len(names) else paths
    return [name if len(name) <= _WIDEST else f"…{name[-_WIDEST + 1 :]}" for name in shown]


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _notes(files: Mapping[str, Mapping[str, object]]) -> list[str]:
    """A line for each reason, with what is null for it; and one for the factors that were binned."""
    reasons: dict[str, dict[str, None]] = {}
    binned: dict[str, object] = {}
    for section in files.values():
        for key, value in section.items():
            if key.endswith("_why"):
                reasons.setdefault(str(value), {})[key.removesuffix("_why")] = None
            elif key == "factor_bins" and isinstance(value, Mapping):
                binned |= value
    notes = [f"{', '.join(f'{name} ({bins})' for name, bins in binned.items())}: cut into bins"] if binned else []
    return ["", *notes, *(f"– {', '.join(keys)}: {why}" for why, keys in reasons.items())] if notes or reasons else []
