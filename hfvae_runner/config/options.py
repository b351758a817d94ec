"""Checks an option's value against the annotation of the argument that takes it."""

import math
from typing import Literal, get_args, get_origin

from hfvae_runner.errors import ConfigError, nearest


def check_option(key: str, value: object, kind: object) -> None:
    """Whether a value is a whole number from 1 on (int), a number from 0 on (float), true or false (bool), or a word.

    Args:
        key: how the option is called in the config.
        value: what was given.
        kind: the annotation: int, float, bool or a Literal.

    Raises:
        ConfigError: the option, its value and what was expected.
    """
    if get_origin(kind) is Literal:
        words = get_args(kind)
        if value not in words:
            raise ConfigError(f"{key}={value!r}: expected one of {', '.join(words)}{nearest(value, words)}")
    elif kind is bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{key}={value!r}: expected true or false")
    elif kind is int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{key}={value!r}: expected a whole number from 1 on")
    elif kind is float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
            raise ConfigError(f"{key}={value!r}: expected a number from 0 on")
    else:
        raise AssertionError(f"option {key} is annotated {kind}, which no config value is checked against")
