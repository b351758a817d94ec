"""Reads configs from run folders, with limits on their size and restricted to functions of the installed choices.

Such a config is data: nothing in it is resolved or executed. A function that it names is looked up in the files of
conf/ before anything is imported; any other function must be named on the command line, or its module trusted there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

import hfvae_runner
from hfvae_runner.errors import CheckpointError, ConfigError, nearest

TARGET = "_target_"
KINDS = ("dataset", "model", "likelihood", "prior")
"""Sections that name one function each."""
NAMED_KINDS = ("metrics", "trackers")
"""Sections that name any number of functions, by name."""

_MOST_BYTES = 1 << 20
_MOST_VALUES, _DEEPEST = 1_000_000, 40
_MALFORMED = (ValueError, LookupError, AttributeError, RecursionError)  # errors that PyYAML raises besides its own
# Options of trackers that are only labels; every other option may determine the destination.
_LABELS = ("project", "experiment", "tags")

Place = tuple[object, ...]

_LATER: Mapping[str, object] = {
    "trust": [],
    "init_from": None,
    "supervision": {"factor_examples": None, "factor_weight": 64.0, "factors": None},
    "train": {"weight_decay": 0.0},
}
"""Keys that folders of earlier versions lack, with the values that mean the same."""


@dataclass(frozen=True)
class Allowed:
    """Functions that a stored config may name in addition to the installed choices.

    Attributes:
        trust: modules; all functions in them and in their submodules are allowed.
        typed: kind and function of each ``_target_`` on this command line; the kind is None in other sections.
    """

    trust: tuple[str, ...] = ()
    typed: frozenset[tuple[str | None, str]] = frozenset()

    @classmethod
    def by(cls, trust: Iterable[str], typed: Mapping[str, object]) -> Self:
        """Build it from ``trust`` and the values of a command line, or from the config composed from them."""
        named = ((kind, target) for kind, _, target in targets(typed) if isinstance(target, str))
        return cls(tuple(trust), frozenset(each for each in named if not _is_installed(*each)))

    def covers(self, kind: str | None, target: object) -> bool:
        if not isinstance(target, str):
            return False
        module = target.rpartition(".")[0]
        trusted = any(module == each or module.startswith(f"{each}.") for each in self.trust)
        return trusted or (kind, target) in self.typed


NOTHING = Allowed()


def config_folder() -> Path:
    """Return the folder of config.yaml: in the package if it is installed, beside it in a checkout."""
    package = Path(hfvae_runner.__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def installed(kind: str) -> Mapping[str, Mapping[str, object]]:
    """Return the functions that the files of conf/KIND name, each with its file's options."""
    found: dict[str, Mapping[str, object]] = {}
    for file in sorted((config_folder() / kind).glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        section = content.get(kind, content) if isinstance(content, dict) else {}
        if TARGET in section:
            found[section[TARGET]] = section
    return found


def targets(config: Mapping[str, object]) -> Iterator[tuple[str | None, Place, object]]:
    """Yield every ``_target_`` of a config, at any depth: its kind, the place of its section, and its value.

    The kind is None in a section that takes no function.
    """
    for place, section in _sections(config, ()):
        if TARGET in section:
            yield _kind(place), place, section[TARGET]


def read(path: Path) -> dict[str, object]:
    """Read a config.yaml of numbers, text, lists and mappings.

    Raises:
        CheckpointError: the file is missing, malformed, or too large.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected the folder of an earlier run")
    try:
        # Read no further than the limit, whatever size the system reports.
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > _MOST_BYTES:
        raise CheckpointError(f"{path} has {path.stat().st_size} bytes; expected at most {_MOST_BYTES}")
    try:
        config = yaml.load(text, _Loader)
    except (yaml.YAMLError, *_MALFORMED) as error:
        raise CheckpointError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds {type(config).__name__}; expected a mapping of config keys")
    if strange := [key for key in config if not isinstance(key, str)]:
        raise CheckpointError(f"{path} has the key {strange[0]!r}; expected text")
    _check_measure(path, config)
    return config


def completed(resolved: Mapping[str, object]) -> dict[str, object]:
    """Return a config of an earlier version with the keys that came later, whose values change nothing."""
    filled = dict(resolved)
    for key, value in _LATER.items():
        if not isinstance(value, Mapping):
            filled.setdefault(key, value)
        elif isinstance(own := filled.get(key), Mapping):
            filled[key] = {**value, **own}
    return filled


def guarded(config: Mapping[str, object], path: Path, allowed: Allowed) -> dict[str, object]:
    """Check the functions of a stored config; return it with their current paths, and without its ``trust``.

    ``trust`` is dropped since only the current command line decides which modules to trust.

    Args:
        config: from ``read``.
        path: the config's file, for the message.
        allowed: functions that the command line allows.

    Raises:
        ConfigError: the config names a function that is neither installed as one of its kind nor allowed.
    """
    found = dict(config)
    for kind, place, target in targets(config):
        name = _installed_name(kind, target)
        if name is not None:
            found = _with_target(found, place, name)
        if name is not None or allowed.covers(kind, target):
            continue
        where = f"{'.'.join(map(str, place))}.{TARGET}".lstrip(".")
        known = {} if kind is None else installed(kind)
        expected = "no function there" if kind is None else f"a function that the files of conf/{kind} name"
        module = str(target).rpartition(".")[0] or target
        typed = f"{'+' if kind in NAMED_KINDS else ''}{where}={target}"
        raise ConfigError(
            f"{path}: {where}={target!r}: expected {expected}; to run that code all the same, type {typed} or "
            f"trust=[{module}] on this command line{nearest(target, known)}"
        )
    return {key: value for key, value in found.items() if key != "trust"}


def check_destinations(config: Mapping[str, object], path: Path, typed: Iterable[str]) -> None:
    """Check that a stored config's trackers send a run only to the destinations of the installed files.

    Args:
        config: the stored config, with the values of this command line applied.
        path: the config's file, for the message.
        typed: the dotted keys on this command line.

    Raises:
        ConfigError: an option that may determine a destination is from the file, and differs from the installed value.
    """
    trackers, given = config.get("trackers"), tuple(typed)
    for name, section in (trackers if isinstance(trackers, Mapping) else {}).items():
        target = section.get(TARGET) if isinstance(section, Mapping) else None
        if not isinstance(target, str) or not _is_installed("trackers", target):
            continue
        usual = installed("trackers")[str(_installed_name("trackers", target))]
        for option, value in section.items():
            where = f"trackers.{name}.{option}"
            own = any(where == each or where.startswith(f"{each}.") for each in given)
            if option not in _LABELS and value != usual.get(option) and not own:
                raise ConfigError(
                    f"{path}: {where}={value!r} may send the run elsewhere; expected that typed again, as "
                    f"{where}=…, or trackers=[] to go on without"
                )


def modules(value: object) -> tuple[str, ...]:
    """Return the value of ``trust`` as a tuple; raise ConfigError if it is not a list of modules."""
    if isinstance(value, list | tuple) and all(isinstance(each, str) and _is_dotted(each) for each in value):
        return tuple(value)
    raise ConfigError(f"trust={value!r}: expected a list of modules such as [my_module]")


def listed_modules(text: str | None) -> tuple[str, ...]:
    """Return the modules of ``trust=[a,b]``, as typed; none for None.

    Raises:
        ConfigError: they are not names of modules.
    """
    return () if text is None else modules(text.removeprefix("[").removesuffix("]").split(","))


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _is_installed(kind: str | None, target: object) -> bool:
    return _installed_name(kind, target) is not None


def _installed_name(kind: str | None, target: object) -> str | None:
    """Return the installed function that a config names, or None.

    A function of this package is found by its name in any module, since an earlier version may have had it in another.
    """
    if kind is None or not isinstance(target, str):
        return None
    if target in installed(kind):
        return target
    module, _, name = target.rpartition(".")
    if module.partition(".")[0] != hfvae_runner.__name__:
        return None
    return next((known for known in installed(kind) if known.rpartition(".")[2] == name), None)


def _with_target(config: Mapping[str, object], place: Place, target: str) -> dict[str, object]:
    """Return the config with another function in the section at a place."""
    if not place:
        return {**config, TARGET: target}
    key, *rest = place
    section = config[str(key)]
    assert isinstance(section, Mapping)
    return {**config, str(key): _with_target(section, tuple(rest), target)}


def _kind(place: Place) -> str | None:
    kinds = {1: KINDS, 2: NAMED_KINDS}.get(len(place), ())
    return str(place[0]) if place and place[0] in kinds else None


def _sections(value: object, place: Place) -> Iterator[tuple[Place, Mapping[str, object]]]:
    if isinstance(value, Mapping):
        yield place, value
        for key, inner in value.items():
            yield from _sections(inner, (*place, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _sections(inner, (*place, index))


def _check_measure(path: Path, config: object) -> None:
    """Raise CheckpointError for too many values, which a few lines can expand to if each has several aliases."""
    left = _MOST_VALUES

    def count(value: object, depth: int) -> None:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise CheckpointError(
                f"{path} holds more than {_MOST_VALUES} values, or is nested deeper than {_DEEPEST} times"
            )
        if isinstance(value, dict):
            for key, inner in value.items():
                count(key, depth + 1)
                count(inner, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                count(inner, depth + 1)
        elif value is not None and not isinstance(value, str | bool | int | float):
            raise CheckpointError(f"{path} holds {type(value).__name__}; expected numbers, text, lists and mappings")

    count(config, 0)


if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:
    # The C parser takes a tenth of the time; not every PyYAML has it.
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """A safe loader without merge keys, since a few lines of them can expand to more values than any memory holds."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.YAMLError(f"a merge key{node.start_mark}")
