"""The latent vector: its blocks, and the priors over them.

Shapes: B batch; S draws; D factors (scalar latents) of one block; F factors of all blocks; G blocks.
Levels: ``joint`` [B], ``block`` [B, G], ``factor`` [B, F]. Where some blocks are chosen, G and F count those only.
Log-densities and divergences are in nats per example.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hfvae_runner.config.names import DiscreteDensity, Level, levels_to
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.latents.blocks import Block, Noise, NormalBlock, Posterior, QuantisedBlock, Sample


class Prior(nn.Module, ABC):
    """Prior of one or more blocks, independent of all other blocks. It is a module because it may have parameters.

    Attributes:
        blocks: the blocks of this prior.
        finest: the finest level at which the prior has marginals.
        reparameterised: whether gradients pass through its draws to its parameters.
    """

    finest: Level = "factor"
    reparameterised: bool = True

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        super().__init__()
        self.blocks = blocks

    @abstractmethod
    def log_prob(self, level: Level, sample: Sample, chosen: Sequence[int]) -> Tensor:
        """Return log p at a level not finer than ``finest``.

        Args:
            level: ``joint``, ``block`` or ``factor``.
            sample: [B, C_g] for each block of the prior.
            chosen: indices among the prior's blocks; the others are integrated out.
        """

    def kl(self, level: Level, posterior: Posterior, chosen: Sequence[int]) -> Tensor | None:
        """Return KL(q(z|x) ‖ p(z)) at a level in closed form, or None if it has no closed form."""
        return None

    @abstractmethod
    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        """Return the input of ``sample`` for S draws, on the generator's device.

        It does not depend on the parameters if the prior is reparameterised; otherwise it is the draws themselves.
        """

    @abstractmethod
    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        """Return draws from the prior, [S, C_g] for each block; ``hard`` draws categories instead of relaxing them."""

    @property
    def learned(self) -> bool:
        """Whether the prior has trained parameters."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def settings(self) -> dict[str, object]:
        """Return the parameters, learned or fixed, as plain numbers and lists for metrics.json."""
        return {}

    def with_density(self, density: DiscreteDensity) -> "Prior":
        """Return the same prior with another log-probability for its discrete block."""
        return self


class BlockPrior(Prior):
    """Prior of a single block. Subclasses must define ``joint``, and ``factors`` if the marginals are known."""

    def __init__(self, block: Block) -> None:
        super().__init__((block,))
        self.block = block

    @abstractmethod
    def joint(self, sample: Tensor) -> Tensor:
        """Return log p(z_g), [B, C_g] -> [B]."""

    def factors(self, sample: Tensor) -> Tensor:
        """Return log p(z_gd) of each factor's marginal, [B, C_g] -> [B, D].

        Raises:
            ValueError: the prior has no marginals per factor.
        """
        raise ValueError(f"{type(self).__name__} has no marginals per factor")

    def log_prob(self, level: Level, sample: Sample, chosen: Sequence[int]) -> Tensor:
        (z,) = sample
        match level:
            case "joint":
                return self.joint(z)
            case "block":
                return self.joint(z)[:, None]
            case "factor":
                return self.factors(z)


class FactorialPrior(BlockPrior):
    """Prior of a single block whose factors are independent."""

    @abstractmethod
    def factors(self, sample: Tensor) -> Tensor:
        """Return log p(z_gd), [B, C_g] -> [B, D]."""

    def factor_kl(self, parameters: Tensor) -> Tensor | None:
        """Return KL(q(z_gd|x) ‖ p(z_gd)) in closed form, [B, P_g] -> [B, D], or None if it has no closed form."""
        return None

    def joint(self, sample: Tensor) -> Tensor:
        return self.factors(sample).sum(1)

    def kl(self, level: Level, posterior: Posterior, chosen: Sequence[int]) -> Tensor | None:
        (parameters,) = posterior
        per_factor = self.factor_kl(parameters)
        if per_factor is None or level == "factor":
            return per_factor
        return per_factor.sum(1, keepdim=level == "block")


@dataclass(frozen=True)
class Piece:
    """Chosen blocks of one prior.

    Attributes:
        prior: the prior.
        own: indices of all the prior's blocks among the blocks of the latents.
        chosen: indices of the chosen blocks among the prior's blocks.
    """

    prior: Prior
    own: tuple[int, ...]
    chosen: tuple[int, ...]

    @property
    def blocks(self) -> tuple[int, ...]:
        """Indices of the chosen blocks among the blocks of the latents."""
        return tuple(self.own[g] for g in self.chosen)

    def log_prob(self, level: Level, sample: Sample) -> Tensor:
        """Return log p of the chosen blocks.

        Raises:
            ConfigError: the prior has no marginals at that level.
        """
        if level not in levels_to(self.prior.finest):
            names = ", ".join(self.prior.blocks[g].name for g in self.chosen)
            way_out = "; a term that asks for no more is block_kl" if self.prior.finest == "block" else ""
            raise ConfigError(
                f"the prior of {names} has no marginals per {level}, only at the level {self.prior.finest!r}{way_out}"
            )
        return self.prior.log_prob(level, [sample[g] for g in self.own], self.chosen)

    def kl(self, level: Level, posterior: Posterior) -> Tensor | None:
        """Return KL(q(z|x) ‖ p(z)) of the chosen blocks in closed form, or None if it has no closed form."""
        return self.prior.kl(level, [posterior[g] for g in self.own], self.chosen)


class Latents(nn.Module):
    """Blocks of the latent vector, in the order in which the decoder reads them, and their priors.

    Args:
        priors: the priors. The latent vector consists of their blocks, concatenated in this order.
    """

    def __init__(self, priors: Sequence[Prior]) -> None:
        super().__init__()
        self.priors = nn.ModuleList(priors)
        self.blocks: tuple[Block, ...] = tuple(block for prior in priors for block in prior.blocks)

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of all F factors."""
        return tuple(name for block in self.blocks for name in block.factor_names)

    @property
    def finest(self) -> Level:
        """The finest level at which every prior has marginals."""
        known = {prior.finest for prior in self._priors()}
        # Some versions of torch.compile do not support min() with a key.
        return next(level for level in levels_to("factor") if level in known)

    @property
    def scored(self) -> tuple[int, ...]:
        """Indices of the blocks whose posterior has a density: all but the quantised ones."""
        return tuple(g for g, block in enumerate(self.blocks) if not isinstance(block, QuantisedBlock))

    @property
    def inferred(self) -> tuple[int, ...]:
        """Indices of the blocks that the encoder infers."""
        return tuple(g for g, block in enumerate(self.blocks) if not _is_noise(block))

    @property
    def n_parameters(self) -> int:
        """Number of encoder outputs per example."""
        return sum(block.n_parameters for block in self.blocks)

    @property
    def posterior_widths(self) -> list[int]:
        """P_g of each block, the number of its posterior's parameters."""
        return [2 * block.n_code if _is_noise(block) else block.n_parameters for block in self.blocks]

    @property
    def n_code(self) -> int:
        """Number of decoder inputs per example, Σ C_g."""
        return sum(block.n_code for block in self.blocks)

    def select(self, names: Sequence[str] | None) -> tuple[int, ...]:
        """Return the sorted indices of the named blocks.

        Args:
            names: names of blocks. ``continuous``, ``discrete`` and ``quantised`` select all of a kind, None selects
                all blocks.

        Raises:
            ConfigError: no block has a name or kind in ``names``.
        """
        if names is None:
            return tuple(range(len(self.blocks)))
        chosen: set[int] = set()
        for name in names:
            found = [g for g, block in enumerate(self.blocks) if name in (block.name, _kind(block))]
            if not found:
                known = [block.name for block in self.blocks]
                raise ConfigError(
                    f"no {name} block among the prior's blocks ({', '.join(known)}){nearest(name, known)}"
                )
            chosen.update(found)
        return tuple(sorted(chosen))

    def pieces(self, chosen: Sequence[int]) -> list[Piece]:
        """Return the chosen blocks, grouped by prior, in the order of the latent vector."""
        pieces, start = [], 0
        for prior in self._priors():
            own = tuple(range(start, start + len(prior.blocks)))
            start += len(own)
            local = tuple(g - own[0] for g in own if g in chosen)
            if local:
                pieces.append(Piece(prior, own, local))
        return pieces

    def factor_slices(self) -> list[slice]:
        """Return the slice of each block's factors among all F factors."""
        return _slices(len(block.factor_names) for block in self.blocks)

    def code_slices(self) -> list[slice]:
        """Return the slice of each block's columns in the code [B, Σ C_g]."""
        return _slices(block.n_code for block in self.blocks)

    def posterior(self, outputs: Tensor) -> list[Tensor]:
        """Return the posterior parameters of every block, [B, P_g] each, from the encoder's outputs [B, n_parameters].

        The parameters of a block that is not inferred are 0: its posterior is N(0, 1).
        """
        parts = torch.split(outputs, [block.n_parameters for block in self.blocks], dim=1)
        return [
            outputs.new_zeros(len(outputs), width) if _is_noise(block) else part
            for block, width, part in zip(self.blocks, self.posterior_widths, parts, strict=True)
        ]

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Noise:
        """Return parameter-free noise for a batch of posterior samples, one tensor [B, C_g] for each block."""
        return [block.noise(batch, generator, dtype) for block in self.blocks]

    def sample(self, posterior: Posterior, noise: Noise, *, hard: bool = False) -> Sample:
        """Return a reparameterised sample of every block, [B, C_g] each; ``hard`` draws categories unrelaxed."""
        triples = zip(self.blocks, posterior, noise, strict=True)
        return [block.sample(parameters, noise_g, hard=hard) for block, parameters, noise_g in triples]

    def mode(self, posterior: Posterior) -> Sample:
        """Return the mean or the most probable category of every block, [B, C_g] each."""
        return [block.mode(parameters) for block, parameters in zip(self.blocks, posterior, strict=True)]

    def code(self, sample: Sample) -> Tensor:
        """Return the decoder's input, [B, Σ C_g]."""
        return torch.cat([block.code(z) for block, z in zip(self.blocks, sample, strict=True)], dim=1)

    def log_prior(self, level: Level, sample: Sample, chosen: Sequence[int] | None = None) -> Tensor:
        """Return log p(z) at a level, for the chosen blocks or, with None, for all blocks.

        Raises:
            ConfigError: a prior has no marginals at that level.
        """
        pieces = self.pieces(range(len(self.blocks)) if chosen is None else chosen)
        values = [piece.log_prob(level, sample) for piece in pieces]
        return torch.stack(values).sum(0) if level == "joint" else torch.cat(values, dim=1)

    def prior_noise(
        self, draws: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> list[list[Tensor]]:
        """Return the input of ``prior_sample`` for S draws, one list of tensors for each prior."""
        return [list(prior.noise(draws, generator, dtype)) for prior in self._priors()]

    def prior_sample(self, noise: Sequence[Noise], *, hard: bool = False) -> Sample:
        """Return draws from the prior, [S, C_g] for each block; ``hard`` draws categories instead of relaxing them."""
        pairs = zip(self._priors(), noise, strict=True)
        return [z for prior, own in pairs for z in prior.sample(own, hard=hard)]

    def settings(self) -> dict[str, object]:
        """Return all priors' parameters, learned or fixed, as plain numbers and lists for metrics.json."""
        return {key: value for prior in self._priors() for key, value in prior.settings().items()}

    def with_density(self, density: DiscreteDensity) -> "Latents":
        """Return the same priors, with shared parameters, and another log-probability for the discrete blocks."""
        return Latents([prior.with_density(density) for prior in self._priors()])

    def _priors(self) -> Iterator[Prior]:
        for prior in self.priors:
            assert isinstance(prior, Prior)
            yield prior


def _is_noise(block: Block) -> bool:
    return isinstance(block, NormalBlock) and not block.inferred


def _kind(block: Block) -> str:
    if isinstance(block, QuantisedBlock):
        return "quantised"
    return "discrete" if block.discrete else "continuous"


def summed(factors: Sequence[Tensor], level: Level) -> Tensor:
    """Return values per factor, [B, D] for each of G blocks, summed to a level: [B], [B, G] or [B, F]."""
    match level:
        case "factor":
            return torch.cat(list(factors), dim=1)
        case "block":
            return torch.stack([each.sum(1) for each in factors], dim=1)
        case "joint":
            return torch.cat(list(factors), dim=1).sum(1)


def _slices(sizes: Iterator[int] | Sequence[int]) -> list[slice]:
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    return [slice(start, end) for start, end in pairwise(ends)]
