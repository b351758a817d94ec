"""Ground-truth factors that are given for some examples, and the latents that represent them (Locatello et al. 2020).

Shapes: m examples; K given factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from hfvae_runner.data.factors import Factors
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.latents.blocks import Posterior
from hfvae_runner.latents.latents import Latents

_KEY = "supervision.factors"


class Assignment(NamedTuple):
    """A ground-truth factor and the latent that represents it.

    Attributes:
        factor: the factor's name.
        size: how many values it has.
        latent: the latent's name.
        block: the number of the latent's block.
        place: its place in the block; 0 for a discrete variable.
    """

    factor: str
    size: int
    latent: str
    block: int
    place: int


@dataclass(frozen=True)
class KnownFactors:
    """Examples whose factors are given.

    Attributes:
        posterior: the encoder's output for them, [m, P_g] for each block.
        values: the factors' values, int64 [m, K].
        assignments: K latents that represent the factors.
    """

    posterior: Posterior
    values: Tensor
    assignments: Sequence[Assignment]


def assigned(
    factors: Factors, latents: Latents, chosen: Sequence[str] | Mapping[str, str] | None, prior: str
) -> tuple[Assignment, ...]:
    """Return the latents that represent ground-truth factors.

    Unless the latents are named, each discrete variable represents the first factor left that has as many values as it
    has categories, and the k-th continuous latent the k-th of the other factors.

    Args:
        factors: those of the data set.
        latents: the blocks of z.
        chosen: the names of factors; or the latent of each; or None for all factors but nuisance factors. A factor of
            one value is left out.
        prior: the prior as the user named it, for messages.

    Raises:
        ConfigError: a name is unknown or given twice, there are too few latents, or a discrete variable has another
            number of categories than its factor has values.
    """
    names = [name for name in factors.names if name not in factors.nuisance] if chosen is None else list(chosen)
    for name in names:
        if name not in factors.names:
            known = ", ".join(factors.names)
            raise ConfigError(f"{_KEY}: no factor {name!r}; expected one of {known}{nearest(name, factors.names)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{_KEY}: {', '.join(names)} names a factor twice; expected each once")
    sizes = dict(zip(factors.names, factors.sizes, strict=True))
    varying = [name for name in names if sizes[name] > 1]
    if not varying:
        raise ConfigError(f"{_KEY}: no factor with two values or more; expected some of {', '.join(factors.names)}")
    places = _places(latents)
    found = (
        {name: chosen[name] for name in varying}
        if isinstance(chosen, Mapping)
        else _in_order({name: sizes[name] for name in varying}, latents, prior)
    )
    return tuple(_checked(name, sizes[name], latent, places, latents) for name, latent in _once(found).items())


def _places(latents: Latents) -> dict[str, tuple[int, int]]:
    """Return each latent's block and place in it, by its name."""
    return {name: (g, d) for g, block in enumerate(latents.blocks) for d, name in enumerate(block.factor_names)}


def _in_order(sizes: Mapping[str, int], latents: Latents, prior: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for block in latents.blocks:
        same = [name for name, size in sizes.items() if block.discrete and size == block.n_code and name not in found]
        found |= dict.fromkeys(same[:1], block.name)
    continuous = [name for block in latents.blocks if not block.discrete for name in block.factor_names]
    rest = [name for name in sizes if name not in found]
    if len(rest) > len(continuous):
        raise ConfigError(
            f"{_KEY}: {len(rest)} factors for the {len(continuous)} continuous latents of {prior}; expected no more "
            "factors than latents, or latents=N with a larger number"
        )
    found |= dict(zip(rest, continuous, strict=False))
    return {name: found[name] for name in sizes}


def _once(found: dict[str, str]) -> dict[str, str]:
    used = list(found.values())
    for latent in used:
        if used.count(latent) > 1:
            raise ConfigError(f"{_KEY}: {latent} represents {used.count(latent)} factors; expected one")
    return found


def _checked(
    factor: str, size: int, latent: str, places: Mapping[str, tuple[int, int]], latents: Latents
) -> Assignment:
    if latent not in places:
        raise ConfigError(
            f"{_KEY}.{factor}={latent}: no such latent; expected one of {', '.join(places)}{nearest(latent, places)}"
        )
    g, place = places[latent]
    block = latents.blocks[g]
    if block.discrete and block.n_code != size:
        raise ConfigError(
            f"{_KEY}.{factor}={latent}: the factor has {size} values and {latent} has {block.n_code} categories; "
            "expected as many"
        )
    return Assignment(factor, size, latent, g, place)
