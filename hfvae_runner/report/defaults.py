"""The settings of ``python -m hfvae_runner`` without overrides, for comparison with a run's.

They are read from the files of conf/ without Hydra, whose import would take most of a report's time. Only what these
files use of its language for the default choices is understood; anything else is refused rather than guessed.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from hfvae_runner.errors import DataError
from hfvae_runner.report.settings import as_text, settings_of

_GLOBAL, _SELF = "_global_", "_self_"
_WORD = re.compile(r"\w+")
_PACKAGE = re.compile(r"^# *@package +(\S+) *$", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{(\w+)\}")
# YAML 1.1, which PyYAML reads, demands a point in such a number; Hydra does not.
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def defaults(folder: Path) -> dict[str, str]:
    """Return the default settings as text, as `Run.texts` has those of a run.

    Args:
        folder: of config.yaml.

    Raises:
        DataError: a file is missing or malformed, or uses a part of Hydra's language that is not understood.
    """
    config: dict[str, object] = {}
    choices: dict[str, object] = {}
    for group, name in _files(folder, "", "config"):
        choices[group] = name
        config = _merged(config, _content(folder / group / f"{name}.yaml", group))
    config = {key: value for key, value in config.items() if key != "hydra"} | {"choices": choices}
    return {key: as_text(_resolved(value, config)) for key, value in settings_of(config).items()}


def _files(folder: Path, group: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield group and name of a file and of those in its list of defaults, in the order in which they are merged."""
    path = folder / group / f"{name}.yaml"
    entries = _read(path).get("defaults", [])
    if not isinstance(entries, list):
        raise DataError(f"{path}: the defaults {entries!r} are no list")
    for entry in entries if _SELF in entries else [*entries, _SELF]:
        if entry == _SELF:
            yield group, name
            continue
        for key, names in (entry if isinstance(entry, dict) else {group: entry}).items():
            if str(key).startswith("override hydra/"):
                continue
            for each in names if isinstance(names, list) else [names]:
                if not _WORD.fullmatch(str(key)) or not isinstance(each, str):
                    raise DataError(f"{path}: the default {entry!r} is not understood")
                yield from _files(folder, key, each)


def _content(path: Path, group: str) -> dict[str, object]:
    """Return a choice's file at its place in the config: the package in its first lines, or else its group."""
    found = _PACKAGE.search(_text(path))
    package = found[1] if found else group or _GLOBAL
    content: dict[str, object] = {key: value for key, value in _read(path).items() if key != "defaults"}
    for part in [] if package == _GLOBAL else reversed(package.split(".")):
        content = {part: content}
    return content


def _read(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}; expected a mapping of config keys")
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _merged(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    merged = dict(one)
    for key, value in other.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = _merged(before, value)
        merged[key] = value
    return merged


def _resolved(value: object, config: Mapping[str, object]) -> object:
    """Return a value with its references to top-level keys replaced."""
    if isinstance(value, dict):
        return {key: _resolved(inner, config) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, config) for inner in value]
    if not isinstance(value, str):
        return value
    if "${" not in value:
        return float(value) if _NUMBER.fullmatch(value) else value
    found = _REFERENCE.fullmatch(value)
    if not found or found[1] not in config:
        raise DataError(f"the default {value} is not understood")
    return _resolved(config[found[1]], config)
