"""Checks of the values in a prior's YAML file."""

import math

from hfvae_runner.errors import ConfigError


def at_least(key: str, value: object, least: int) -> int:
    """Return the value if it is a whole number from ``least`` on; raise ConfigError otherwise."""
    if value is None:
        raise ConfigError(f"{key}=null: expected a whole number from {least} on, such as latents=10")
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}={value!r}: expected a whole number from {least} on")
    return value


def finite(key: str, value: object) -> float:
    """Return the value if it is a finite number; raise ConfigError otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"{key}={value!r}: expected a number")
    return float(value)


def positive(key: str, value: object) -> float:
    """Return the value if it is a finite number above 0; raise ConfigError otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ConfigError(f"{key}={value!r}: expected a number above 0")
    return float(value)


def share(key: str, value: object) -> float:
    """Return the value if it is a number from 0 to 1; raise ConfigError otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ConfigError(f"{key}={value!r}: expected a number from 0 to 1")
    return float(value)


def flag(key: str, value: object) -> bool:
    """Return the value if it is true or false; raise ConfigError otherwise."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value!r}: expected true or false")
    return value


def entries(key: str, value: object, count: int, of_what: str) -> list[object]:
    """Return the value as a list if it is a list or tuple of ``count`` entries; raise ConfigError otherwise."""
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ConfigError(f"{key}={value!r}: expected a list of {count} numbers, one for each {of_what}")
    return list(value)


def positives(key: str, value: object, count: int, of_what: str) -> list[float]:
    """Return ``count`` numbers above 0, given as a list or as one number for all; raise ConfigError otherwise."""
    if not isinstance(value, list | tuple):
        return [positive(key, value)] * count
    return [positive(f"{key}[{place}]", each) for place, each in enumerate(entries(key, value, count, of_what))]
