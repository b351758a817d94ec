"""Compares the settings of several runs: every value of their configs that can change a result, except the seed.

Values are compared as text, in which 12 and 12.0 are the same.
"""

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import yaml

from hfvae_runner.config.schema import ALL_GROUPS, FIXED, SETTINGS

MISSING = "-"
_LARGEST = 1e100
"""The largest number that is read as one; sums and squares of larger ones could exceed the range of floats."""
_NO_MATTER = {
    "seed",
    "device",
    "data_root",
    "threads",
    "resume",
    "trust",
    "debug",
    "optimized_metric",
    "dataset.root",
    "train.log_every",
    "checkpoints.every",
    "checkpoints.keep",
    "train.progress",
    "metrics.figures",
}


@dataclass(frozen=True)
class Comparison:
    """How the settings of some runs compare.

    Attributes:
        keys: all settings, in the order in which they are shown.
        varying: the settings that distinguish the runs.
        shared: the settings that are the same for all runs, as text.
        where_defined: the settings that are the same for all runs that have them; the choices of the others lack them.
    """

    keys: tuple[str, ...]
    varying: tuple[str, ...]
    shared: Mapping[str, str]
    where_defined: Mapping[str, str]


def settings_of(config: Mapping[str, object]) -> dict[str, object]:
    """Return a config's settings: the chosen names, then the objective's knobs, the other keys, and the nested ones."""
    if not config:
        return {}
    choices = config["choices"]
    assert isinstance(choices, Mapping)
    settings: dict[str, object] = {group: choices[group] for group in ALL_GROUPS if group in choices}
    settings |= knobs_of(config)
    # Epochs have no effect if the steps are given.
    unused = "steps" if config.get("steps") is None else "epochs"
    settings |= {key: config[key] for key in SETTINGS if key in config and key not in _NO_MATTER and key != unused}
    for key, section in config.items():
        if isinstance(section, Mapping) and key in FIXED and key not in ("choices", "trackers"):
            settings |= {name: value for name, value in _leaves(section, key) if name not in _NO_MATTER}
    return settings


def knobs_of(config: Mapping[str, object]) -> dict[str, object]:
    """Return the keys that the chosen objective defines at the top level, with their values."""
    return {key: value for key, value in config.items() if key not in FIXED}


def compare(runs: Sequence[Mapping[str, object]]) -> Comparison:
    """Divide the settings of the runs (from `settings_of`, or as text) into those that vary and those that do not.

    A nested setting counts only if runs with the same other settings differ in it, since it usually follows from a
    choice or a knob. Two runs that differ in any setting that counts differ in a varying setting.
    """
    texts = [{key: as_text(value) for key, value in settings.items()} for settings in runs]
    keys = sorted(dict.fromkeys(key for settings in texts for key in settings), key=_rank)
    nested = [key for key in keys if "." in key]
    counted = [key for key in keys if "." not in key]
    kinds = _numbered(tuple(map(settings.get, counted)) for settings in texts)
    for key in nested:
        finer = _numbered(zip(kinds, (settings.get(key) for settings in texts), strict=True))
        # Otherwise the counted settings determine it.
        if max(finer) > max(kinds):
            counted.append(key)
            kinds = finer
    chosen = _numbered(tuple(map(settings.get, ALL_GROUPS)) for settings in texts)
    varying: list[str] = []
    shared: dict[str, str] = {}
    where_defined: dict[str, str] = {}
    for key in counted:
        values = {settings.get(key) for settings in texts}
        present = values - {None}
        is_there = _numbered(zip(chosen, (key in settings for settings in texts), strict=True))
        if len(present) > 1 or (len(values) > 1 and max(is_there) > max(chosen)):
            varying.append(key)
        else:
            (shared if len(values) == 1 else where_defined)[key] = str(next(iter(present)))
    return Comparison(tuple(counted), tuple(varying), shared, where_defined)


def as_text(value: object) -> str:
    """Return the value as on a command line: ``12``, ``true``, ``null``, ``{linear: [0, 4, 1000]}``."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, dict | list):
        return _in_flow_style(json.dumps(value))
    return "null" if value is None else str(value).lower()


@lru_cache(maxsize=1 << 14)
def _in_flow_style(text: str) -> str:
    """Convert JSON to YAML of one line; cached, since PyYAML takes most of the time for a run's settings."""
    return yaml.safe_dump(json.loads(text), default_flow_style=True, sort_keys=False, width=float("inf")).strip()


def as_number(value: object) -> float | None:
    """Return the value of a number; None for words, schedules, booleans, NaN, and numbers beyond 1e100."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # The comparison is false for NaN, too.
    return float(value) if abs(value) <= _LARGEST else None


def natural(text: str) -> list[tuple[int, float, str]]:
    """Return a sort key by which 4 comes before 12 and before words, and ``z[2]`` before ``z[10]``."""
    try:
        return [(0, float(text), "")]
    except ValueError:
        parts = re.split(r"(\d+)", text)
        return [(1, float(part), "") if part.isdecimal() else (2, 0.0, part) for part in parts]


def _rank(key: str) -> int:
    """Return a key's rank: choices, knobs, the other keys, nested keys; equal ranks keep the configs' order."""
    if key in ALL_GROUPS:
        return 0
    if "." in key:
        return 2 + len(SETTINGS)
    return 2 + SETTINGS.index(key) if key in SETTINGS else 1


def _leaves(section: Mapping[str, object], path: str) -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value


def _numbered(rows: Iterable[Hashable]) -> list[int]:
    """Return a number for each row, from 0, which is the same for equal rows."""
    known: dict[Hashable, int] = {}
    return [known.setdefault(row, len(known)) for row in rows]
