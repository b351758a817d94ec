"""A term's options from a config, held to the annotations of the function that takes them."""

import math
from collections.abc import Callable, Mapping
from typing import Literal, get_args, get_origin, get_type_hints

from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.evidence import Blocks
from hfvae_runner.latents import Latents


def check(function: Callable[..., object], latents: Latents, options: Mapping[str, object]) -> None:
    """Whether every option is what its annotation says: names of blocks, one of several words, a number, two rates.

    Raises:
        ConfigError: the option, its value and what was expected; a block that the latents lack.
    """
    hints = get_type_hints(function)
    for key, value in options.items():
        kind = hints[key]
        if kind == Blocks:
            if value is not None:
                _check_blocks(key, value, latents)
        elif get_origin(kind) is Literal:
            words = get_args(kind)
            if value not in words:
                raise ConfigError(f"{key}={value!r}: expected one of {', '.join(words)}{nearest(value, words)}")
        elif kind is int:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{key}={value!r}: expected a whole number from 1 on")
        elif kind is float:
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
                raise ConfigError(f"{key}={value!r}: expected a number from 0 on")
        elif kind == tuple[float, float]:
            _check_rates(key, value)
        else:
            raise AssertionError(f"option {key} is annotated {kind}, which no config value is checked against")


def _check_blocks(key: str, value: object, latents: Latents) -> None:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{key}={value!r}: expected a list of block names")
    try:
        latents.select(value)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None


def _check_rates(key: str, value: object) -> None:
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate < 1 for rate in value)
    ):
        raise ConfigError(f"{key}={value!r}: expected two numbers from 0 to below 1")
