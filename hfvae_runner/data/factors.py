"""The ground truth behind a data set: its factors; where they form one, the grid of their values and its arithmetic.

Shapes: K factors; n draws; * any shape.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError, nearest


@dataclass(frozen=True)
class Factors:
    """What the ground-truth factors of a data set are; which combinations of their values occur is not said.

    Attributes:
        names: of the K factors.
        sizes: how many values each has; they are 0 to size − 1. Of a continuous factor these are bins.
        nuisance: the names of those that no latent factor is asked to represent (β-TCVAE Sec. 6: shape, identity).
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    nuisance: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sizes) or len(set(self.names)) != len(self.names):
            raise ValueError(f"names {self.names} and sizes {self.sizes}: expected one of each a factor")
        if not set(self.nuisance) <= set(self.names):
            raise ValueError(f"nuisance {self.nuisance}: expected some of {self.names}")


@dataclass(frozen=True)
class Grid(Factors):
    """Every combination of the factors' values, counted so that the last factor varies fastest: names slowest first."""

    def __len__(self) -> int:
        """Return the number of cells."""
        return math.prod(self.sizes)

    def to_index(self, factors: Tensor) -> Tensor:
        """Return the cells that have these values: whole numbers [*, K] -> int64 [*].

        Raises:
            ValueError: a value is not one of its factor's.
        """
        sizes = torch.tensor(self.sizes, device=factors.device)
        if factors.shape[-1:] != sizes.shape or bool(((factors < 0) | (factors >= sizes)).any()):
            raise ValueError(f"factors of shape {tuple(factors.shape)}: expected [*, {len(sizes)}] below {self.sizes}")
        return (factors.long() * self._strides.to(factors.device)).sum(-1)

    def to_factors(self, index: Tensor) -> Tensor:
        """Return the values of these cells: whole numbers [*] -> int64 [*, K].

        Raises:
            ValueError: a number is not a cell's.
        """
        if bool(((index < 0) | (index >= len(self))).any()):
            raise ValueError(f"index from {index.min()} to {index.max()}: expected cells from 0 to {len(self) - 1}")
        sizes = torch.tensor(self.sizes, device=index.device)
        return index.long()[..., None] // self._strides.to(index.device) % sizes

    def cells(self) -> Tensor:
        """Return the values of every cell, in order, as ``Split.factors`` has them: int16 [N, K], N = ``len(self)``."""
        return self.to_factors(torch.arange(len(self))).short()

    def sample(self, n: int, generator: torch.Generator, fixed: Mapping[str, int | Tensor] | None = None) -> Tensor:
        """Return values of n cells, drawn uniformly and with replacement from those that agree with ``fixed``, int64
        [n, K].

        Args:
            n: draws.
            generator: on the device where the result shall lie.
            fixed: factor names with the value of all draws, or one value a draw, [n].

        Raises:
            ConfigError: a name or a value that the grid does not have.
        """
        # Every factor is drawn, fixed or not, so that fixing one leaves the others' draws as they were.
        drawn = [torch.randint(size, (n,), generator=generator, device=generator.device) for size in self.sizes]
        for name, value in (fixed or {}).items():
            if name not in self.names:
                known = ", ".join(self.names)
                raise ConfigError(f"there is no factor {name!r}; expected one of {known}{nearest(name, self.names)}")
            k = self.names.index(name)
            values = torch.as_tensor(value, device=generator.device)
            if bool(((values < 0) | (values >= self.sizes[k])).any()):
                raise ConfigError(f"{name}={value}: expected a value from 0 to {self.sizes[k] - 1}")
            drawn[k] = values.long().expand(n)
        return torch.stack(drawn, dim=-1)

    @property
    def _strides(self) -> Tensor:
        """How many cells further the next value of each factor is, [K]."""
        return torch.tensor([math.prod(self.sizes[k + 1 :]) for k in range(len(self.sizes))])
