"""Adaptive averaging of the posteriors of pairs (Locatello et al. 2020, "Weakly-supervised disentanglement without
compromises").

The two examples of a pair have some generative factors in common. A latent whose two posteriors are close is taken to
represent such a factor, and both posteriors are replaced by their average:

    δ_d = KL(q(z_d|x₁) ‖ q(z_d|x₂)),   shared_d = δ_d < ½·(max_d δ_d + min_d δ_d)

Average: of means and variances, as in GVAE (Hosoya 2019), or the normalised product of the densities, as in ML-VAE
(Bouchacourt et al. 2018). The product of two equal normal densities has half their variance; the authors' code
(google-research/disentanglement_lib) gives it twice that. The counterparts for a discrete variable are ours: the KL of
two categorical distributions, the mean of their probabilities, and the normalised product of these.

Shapes: P pairs; F factors (scalar latents) of all blocks; D factors of one block. A batch of P pairs has B = 2·P
examples: the first ones of all pairs, then the second ones in the same order.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hfvae_runner.config.names import Average, Distance
from hfvae_runner.distributions import categorical, normal
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Block, ConcreteBlock, NormalBlock, Posterior
from hfvae_runner.latents.latents import Latents

Function = Callable[[Tensor, Tensor], Tensor]
"""Of the parameters of two posteriors of one block, [P, P_g] each."""


class Averaging:
    """The averaging of shared latents, as a function of a batch's posterior.

    Args:
        latents: the blocks.
        posterior: ``mean`` or ``product``.
        distance: ``kl``, as published, or ``symmetric``: the mean of KL(q₁ ‖ q₂) and KL(q₂ ‖ q₁).

    Raises:
        ConfigError: a block's posterior is neither normal nor categorical, or there are fewer than two latents.
    """

    def __init__(self, latents: Latents, posterior: Average, distance: Distance) -> None:
        if len(latents.factor_names) < 2:
            raise ConfigError("one latent has no other to be compared with; expected two or more")
        self._blocks = latents.blocks
        self._slices = latents.factor_slices()
        self._divergences = [_divergence(block) for block in latents.blocks]
        self._averages = [_average(block, posterior) for block in latents.blocks]
        self._distance = distance

    def __call__(self, posterior: Posterior) -> tuple[Posterior, Tensor]:
        """Return the posterior with averaged parameters where a latent is shared, and which are, bool [P, F].

        No gradient passes through the choice.

        Args:
            posterior: [B, P_g] for each block.
        """
        halves = [parameters.chunk(2) for parameters in posterior]
        shared = self._shared(halves)
        averaged = []
        for block, average, own, (first, second) in zip(
            self._blocks, self._averages, self._slices, halves, strict=True
        ):
            both, which = average(first, second), _per_parameter(block, shared[:, own])
            averaged.append(torch.cat([torch.where(which, both, first), torch.where(which, both, second)]))
        return averaged, shared

    @torch.no_grad()
    def _shared(self, halves: Sequence[tuple[Tensor, ...]]) -> Tensor:
        # Sec. 3.3: δ_d of every latent.
        distances = self._distances(halves)
        if self._distance == "symmetric":
            distances = 0.5 * (distances + self._distances([(second, first) for first, second in halves]))
        # The threshold τ is halfway between the least and the most.
        threshold = 0.5 * (distances.amax(1, keepdim=True) + distances.amin(1, keepdim=True))
        return distances < threshold

    def _distances(self, halves: Sequence[tuple[Tensor, ...]]) -> Tensor:
        pairs = zip(self._divergences, halves, strict=True)
        return torch.cat([divergence(first, second) for divergence, (first, second) in pairs], dim=1)


def _divergence(block: Block) -> Function:
    """Return KL(q_d ‖ q'_d) per factor, -> [P, D], in nats."""
    if isinstance(block, NormalBlock):
        return lambda one, other: normal.kl(*one.chunk(2, dim=1), *other.chunk(2, dim=1))
    if isinstance(block, ConcreteBlock):
        return lambda one, other: categorical.kl(one, other)[:, None]
    raise ConfigError(
        f"the posterior of {block.name} is a {type(block).__name__}, whose average is not defined; expected normal or "
        "Concrete blocks"
    )


def _average(block: Block, how: Average) -> Function:
    """Return the average of two posteriors, -> [P, P_g]."""
    if isinstance(block, ConcreteBlock):
        return _mean_of_categories if how == "mean" else _product_of_categories
    return _mean_of_normals if how == "mean" else _product_of_normals


def _mean_of_normals(one: Tensor, other: Tensor) -> Tensor:
    (mean_1, log_scale_1), (mean_2, log_scale_2) = one.chunk(2, dim=1), other.chunk(2, dim=1)
    # Sec. 3.3, GVAE: μ = ½(μ₁ + μ₂), σ² = ½(σ₁² + σ₂²).
    log_scale = 0.5 * (torch.logaddexp(2 * log_scale_1, 2 * log_scale_2) - math.log(2))
    return torch.cat([0.5 * (mean_1 + mean_2), log_scale], dim=1)


def _product_of_normals(one: Tensor, other: Tensor) -> Tensor:
    (mean_1, log_scale_1), (mean_2, log_scale_2) = one.chunk(2, dim=1), other.chunk(2, dim=1)
    # Bouchacourt et al. 2018: σ⁻² = σ₁⁻² + σ₂⁻², μ = σ²(μ₁σ₁⁻² + μ₂σ₂⁻²).
    difference = 2 * (log_scale_2 - log_scale_1)
    weight = torch.sigmoid(difference)  # σ²σ₁⁻²
    log_scale = log_scale_1 - 0.5 * softplus(-difference)
    return torch.cat([weight * mean_1 + (1 - weight) * mean_2, log_scale], dim=1)


def _mean_of_categories(one: Tensor, other: Tensor) -> Tensor:
    return torch.logaddexp(categorical.log_probs(one), categorical.log_probs(other)) - math.log(2)


def _product_of_categories(one: Tensor, other: Tensor) -> Tensor:
    return categorical.log_probs(categorical.log_probs(one) + categorical.log_probs(other))


def _per_parameter(block: Block, shared: Tensor) -> Tensor:
    """Return a value per factor, [P, D], for each of the block's parameters, broadcastable to [P, P_g]."""
    return shared if isinstance(block, ConcreteBlock) else torch.cat([shared, shared], dim=1)
