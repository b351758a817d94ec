"""The aggregate posterior q(z) = 1/N Σ_n q(z|x_n), evaluated at samples, estimated from a batch or computed exactly.

Shapes: S samples, M mixture components, F factors, G blocks. Log-densities are in nats.
Levels: ``joint`` log q(z) [S]; ``block`` log q(z_g) [S, G]; ``factor`` log q(z_gd) [S, F].
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hfvae_runner.config.names import Estimator, Level
from hfvae_runner.console import progress
from hfvae_runner.distributions import categorical, fused_mixture, mixture
from hfvae_runner.distributions.fused_mixture import Product
from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.latents.blocks import Posterior, Sample
from hfvae_runner.latents.estimators import log_weights
from hfvae_runner.latents.latents import Latents

# Size of one tile of the exact aggregate. Where tables are used, each stays below 10 MB.
_TILE_SAMPLES, _TILE_COMPONENTS = 256, 8192
# Maximum number of table entries for one part of a batch, S·M·F. It limits the memory of the backward pass.
_TABLE_SIZE = {"cpu": 2**22, "cuda": 2**27}


class Aggregate(Protocol):
    """Protocol of log q(z) at a fixed set of S samples, where sample s was drawn from component s."""

    @property
    def own_log_weight(self) -> float:
        """Log-weight of the component from which a sample was drawn, the same for all samples."""

    def log_prob(self, level: Level, blocks: Sequence[int]) -> Tensor:
        """Return log q at ``level`` for the blocks with these indices: [S], [S, G] or [S, F], in nats."""


class MixtureAggregate:
    """Differentiable mixture log Σ_m exp(w_sm) q(z_s|x_m) with given log-weights w.

    Memory does not grow with S·M. A fused kernel computes the mixture where one exists (see ``fused_mixture``).
    Otherwise tables [S, M] are used. Large tables are split by samples and recomputed in the backward pass.

    Args:
        latents: the blocks.
        posterior: parameters of the components, [M, P_g] for each block.
        query: posterior parameters of the samples' own examples, [S, P_g] for each block. Only enumerated blocks read
            them: they average over their categories with the weights q(k|x_s).
        sample: [S, C_g] for each block.
        weights: log-weights of the components.
    """

    def __init__(
        self, latents: Latents, posterior: Posterior, query: Posterior, sample: Sample, weights: Weights
    ) -> None:
        self.latents = latents
        self.posterior = posterior
        self.query = query
        self.sample = sample
        self.weights = weights
        # Up to three levels share each entry. functools.cache is not used: its reference cycle through self would keep
        # the tables of many steps in memory until a garbage collection.
        self._products: dict[tuple[int, ...], Product | None] = {}
        self._tables: _Tables | None = None

    @property
    def own_log_weight(self) -> float:
        return self.weights.own

    def log_prob(self, level: Level, blocks: Sequence[int]) -> Tensor:
        chosen = tuple(blocks)
        if chosen not in self._products:
            self._products[chosen] = self._product(chosen)
        product = self._products[chosen]
        return self._by_tables(level, chosen) if product is None else product.log_prob(level)

    def _product(self, blocks: tuple[int, ...]) -> Product | None:
        if not fused_mixture.supports(self.posterior[0]):
            return None
        factors = [self.latents.blocks[g].factors(self.posterior[g], self.sample[g]) for g in blocks]
        known = [each for each in factors if each is not None]
        return Product(known, self.weights) if len(known) == len(factors) else None

    def _by_tables(self, level: Level, blocks: tuple[int, ...]) -> Tensor:
        samples, components = len(self.sample[0]), len(self.posterior[0])
        columns = sum(self.latents.blocks[g].n_code for g in blocks)
        rows = max(1, _TABLE_SIZE.get(self.sample[0].device.type, _TABLE_SIZE["cpu"]) // (components * columns))
        if samples <= rows:
            if self._tables is None:
                self._tables = _Tables(self.latents, self.posterior, self.query, self.sample, self.weights)
            return self._tables.log_prob(level, blocks)

        def part(first: int) -> Tensor:
            query, sample = ([each[first : first + rows] for each in every] for every in (self.query, self.sample))
            return _Tables(self.latents, self.posterior, query, sample, self.weights, first).log_prob(level, blocks)

        parts = [
            checkpoint(part, first, use_reentrant=False, preserve_rng_state=False) for first in range(0, samples, rows)
        ]
        return torch.cat(parts)


class _Tables:
    """Mixture at S consecutive samples of the batch, computed from one table [S, M] for each factor.

    Args:
        latents, posterior, query, sample, weights: as in ``MixtureAggregate``.
        first: index in the batch of the first of these samples.
    """

    def __init__(
        self,
        latents: Latents,
        posterior: Posterior,
        query: Posterior,
        sample: Sample,
        weights: Weights,
        first: int = 0,
    ) -> None:
        self.latents = latents
        self.posterior = posterior
        self.query = query
        self.sample = sample
        like = posterior[0]
        self.weights = weights.table(len(sample[0]), len(like), first=first, like=like)
        self._factor_tables: dict[tuple[int, int], Tensor] = {}
        self._block_tables: dict[int, Tensor] = {}

    def log_prob(self, level: Level, blocks: tuple[int, ...]) -> Tensor:
        match level:
            case "joint":
                return self._mixture(blocks)
            case "block":
                return torch.stack([self._mixture((g,)) for g in blocks], dim=1)
            case "factor":
                return torch.cat([self._factors(g) for g in blocks], dim=1)

    def _factor_table(self, g: int, d: int) -> Tensor:
        if (g, d) not in self._factor_tables:
            table = self.latents.blocks[g].log_prob_table(self.posterior[g], self.sample[g], d)
            self._factor_tables[g, d] = table
        return self._factor_tables[g, d]

    def _block_table(self, g: int) -> Tensor:
        if g not in self._block_tables:
            first, *rest = [self._factor_table(g, d) for d in range(len(self.latents.blocks[g].factor_names))]
            # Factors are independent given x, so log q(z_g|x) is the sum over factors. The log-weights are added
            # later: added to each factor, they would be counted D times.
            self._block_tables[g] = sum(rest, start=first)
        return self._block_tables[g]

    def _factors(self, g: int) -> Tensor:
        block = self.latents.blocks[g]
        if block.enumerated:
            return self._mixture((g,))[:, None]
        tables = [self._factor_table(g, d) for d in range(len(block.factor_names))]
        return torch.stack([mixture.log_prob(table, self.weights) for table in tables], dim=1)

    def _mixture(self, blocks: tuple[int, ...]) -> Tensor:
        """Return the joint log q̂ of the blocks, [S], averaged over the categories of enumerated blocks."""
        sampled = [self._block_table(g) for g in blocks if not self.latents.blocks[g].enumerated]
        enumerated = [g for g in blocks if self.latents.blocks[g].enumerated]
        if not enumerated:
            return mixture.log_prob(sum(sampled[1:], start=sampled[0]), self.weights)
        component = _product_probs([self.posterior[g] for g in enumerated])
        query = _product_probs([self.query[g] for g in enumerated])
        table = sum(sampled, start=self.weights)
        # log q̂(z_s, k) = log Σ_m exp(table_sm) q(k|x_m), computed as one product [S, M]·[M, K] with entries in [0, 1].
        peak = table.amax(dim=1, keepdim=True).detach()
        density = torch.exp(table - peak) @ component
        # Where every product underflows, q(k|x_s) is negligible too, so the value of the floor has no effect.
        log_mixture = density.clamp_min(torch.finfo(density.dtype).tiny).log() + peak
        return (query * log_mixture).sum(1)


def _product_probs(logits: Sequence[Tensor]) -> Tensor:
    """Return the probability of every combination of several independent categorical variables, [M, ΠK]."""
    probs = logits[0].new_ones((len(logits[0]), 1))
    for each in logits:
        probs = (probs[:, :, None] * categorical.log_probs(each).exp()[:, None, :]).flatten(1)
    return probs


def from_batch(
    latents: Latents, posterior: Posterior, sample: Sample, *, estimator: Estimator, n_data: int
) -> MixtureAggregate:
    """Return an estimate of a data set's aggregate posterior from one batch.

    Args:
        latents: the blocks.
        posterior: posterior parameters of the batch, [B, P_g] for each block.
        sample: one sample per example, [B, C_g] for each block. Sample b is drawn from component b.
        estimator: name of the minibatch estimator, see ``log_weights``.
        n_data: N, the size of the data set from which the batch was drawn.

    Raises:
        ValueError: B = 1 and N > 1, or B > N.
    """
    batch = len(posterior[0])
    weights = log_weights(estimator, batch, n_data)
    return MixtureAggregate(latents, posterior, posterior, sample, weights)


class ExactAggregate:
    """Exact aggregate log 1/N Σ_n q(z_s|x_n) over a whole data set, computed in tiles and without a gradient.

    Args:
        latents: the blocks.
        posterior: posterior parameters of the data set, [N, P_g] for each block.
        sample: [S, C_g] for each block.
        show_progress: whether to show a progress bar.

    Raises:
        ValueError: a block is enumerated.
    """

    def __init__(self, latents: Latents, posterior: Posterior, sample: Sample, *, show_progress: bool = False) -> None:
        if any(block.enumerated for block in latents.blocks):
            raise ValueError("the exact aggregate posterior is evaluated at samples, not at enumerated categories")
        self.latents = latents
        self.posterior = posterior
        self.sample = sample
        self.own_log_weight = -math.log(len(posterior[0]))
        self._show_progress = show_progress
        self._streamed: dict[tuple[int, ...], dict[Level, Tensor]] = {}

    def log_prob(self, level: Level, blocks: Sequence[int]) -> Tensor:
        chosen = tuple(blocks)
        if chosen not in self._streamed:
            self._streamed[chosen] = self._stream(chosen)
        return self._streamed[chosen][level]

    @torch.no_grad()
    def _stream(self, blocks: tuple[int, ...]) -> dict[Level, Tensor]:
        """Compute all three levels in one pass, because they share the table."""
        tiles = list(zip(*(torch.split(z, _TILE_SAMPLES) for z in self.sample), strict=True))
        rows = [
            self._stream_rows(z, blocks) for z in progress(tiles, "aggregate posterior", wanted=self._show_progress)
        ]
        levels: tuple[Level, ...] = ("joint", "block", "factor")
        return {level: torch.cat([row[level] for row in rows]) for level in levels}

    def _stream_rows(self, sample: Sample, blocks: tuple[int, ...]) -> dict[Level, Tensor]:
        total: dict[Level, Tensor] = {}
        weight = Weights.uniform(self.own_log_weight)
        for component in zip(
            *(torch.split(parameters, _TILE_COMPONENTS) for parameters in self.posterior), strict=True
        ):
            tile = MixtureAggregate(self.latents, component, component, sample, weight)
            for level in ("joint", "block", "factor"):
                part = tile.log_prob(level, blocks)
                total[level] = torch.logaddexp(total[level], part) if level in total else part
        return total
