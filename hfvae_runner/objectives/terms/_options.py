"""A term's options from a config, held to the annotations of the function that takes them."""

from collections.abc import Callable, Mapping
from typing import get_type_hints

from hfvae_runner.config.options import check_option
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.evidence import Blocks
from hfvae_runner.latents.latents import Latents


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
        elif kind == tuple[float, float]:
            _check_rates(key, value)
        else:
            check_option(key, value, kind)


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
