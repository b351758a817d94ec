"""A batch of random posteriors, and the terms of HFVAE's Fig. 1 and 3 written out with torch.distributions alone.

Shapes: B batch, the whole data set of N = B examples; F factors; G blocks. Everything is float64, nats per example.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, MultivariateNormal, Normal, kl_divergence

from hfvae_runner.config.names import Estimator
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.blocks import ConcreteBlock, Posterior, Sample
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.latents.priors.two_groups import two_groups

BATCH = 6
SEEDS = range(2)


def factorial() -> list[Latents]:
    """Layouts whose prior is a product over factors."""
    concrete = normal_concrete(continuous=2, categories=3, temperature=0.66, n_classes=None)
    return [normal(size=3), concrete, two_groups(sizes=[2, 1], correlation=0.0)]


RHO = 0.6


def correlated() -> Latents:
    """Two groups of two factors; factor i of both has the correlation RHO, so that p(z) is no product over groups."""
    return two_groups(sizes=[2, 2], correlation=RHO)


@dataclass(frozen=True)
class Batch:
    """Examples with random posteriors, and a sample of each."""

    latents: Latents
    posterior: Posterior
    sample: Sample
    log_px: Tensor
    rho: float

    def evidence(self, estimator: Estimator = "stratified", n_data: int = BATCH) -> Evidence:
        """The package's log-densities; at N = B the stratified estimate of q(z) is exact."""
        q = aggregate.from_batch(self.latents, self.posterior, self.sample, estimator=estimator, n_data=n_data)
        return Evidence(self.latents, self.posterior, self.sample, self.log_px, q)


def batches(layouts: list[Latents], rho: float = 0.0) -> list[Batch]:
    """One batch for each layout and seed; rho: the correlation in the prior."""
    return [_batch(latents, seed, rho) for latents in layouts for seed in SEEDS]


def _batch(latents: Latents, seed: int, rho: float) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    posterior = [torch.randn(BATCH, each.n_parameters, generator=generator).double() for each in latents.blocks]
    noise = latents.noise(BATCH, generator, torch.float64)
    log_px = -80 + 10 * torch.rand(BATCH, generator=generator).double()
    return Batch(latents, posterior, latents.sample(posterior, noise), log_px, rho)


class Terms:
    """Fig. 1 and 3 for one batch, each a mean over its examples, at one sample of each.

    Attributes:
        ratio: log q(z|x) − log p(z).
        information: ②, log q(z|x) − log q(z).
        marginal: ④, log q(z) − log p(z).
        between: A, the total correlation between blocks minus the prior's.
        within: i, that of the factors in their blocks minus the prior's.
        blocks: B, Σ_g log q(z_g) − log p(z_g).
        factors: ii, Σ_d log q(z_d) − log p(z_d).
        correlation: log q(z) − Σ_d log q(z_d).
        kl: KL(q(z|x) ‖ p(z)) in closed form.
        first_block: log q(z_1|x) − log q(z_1) of the first block, the mutual information of an anchor.
        rest: −log p(x|z), which stands for ① + ③ up to the data's entropy.
    """

    def __init__(self, batch: Batch) -> None:
        tables = [_table(batch, g) for g in range(len(batch.latents.blocks))]
        own = torch.cat([table.diagonal().T for table in tables], dim=1)
        joint = _mixture(torch.cat(tables, dim=2).sum(2))
        by_block = torch.stack([_mixture(table.sum(2)) for table in tables], dim=1)
        by_factor = torch.cat([_mixture(table) for table in tables], dim=1)
        p_joint, p_block, p_factor = _prior(batch)
        self.ratio = (own.sum(1) - p_joint).mean()
        self.information = (own.sum(1) - joint).mean()
        self.marginal = (joint - p_joint).mean()
        self.between = (joint - by_block.sum(1) - p_joint + p_block.sum(1)).mean()
        self.within = (by_block.sum(1) - by_factor.sum(1) - p_block.sum(1) + p_factor.sum(1)).mean()
        self.blocks = (by_block - p_block).sum(1).mean()
        self.factors = (by_factor - p_factor).sum(1).mean()
        self.correlation = (joint - by_factor.sum(1)).mean()
        self.kl = _closed_kl(batch)
        self.rest = -batch.log_px.mean()
        self.first_block = (tables[0].sum(2).diagonal() - by_block[:, 0]).mean()


def _table(batch: Batch, g: int) -> Tensor:
    """log q(z_s,d | x_m) of one block, [B, B, F_g]."""
    block, parameters, sample = batch.latents.blocks[g], batch.posterior[g], batch.sample[g]
    if isinstance(block, ConcreteBlock):
        by_category: Tensor = Categorical(logits=parameters).log_prob(sample.argmax(1)[:, None])
        return by_category[..., None]
    mean, log_scale = parameters.chunk(2, dim=1)
    by_factor: Tensor = Normal(mean, log_scale.exp()).log_prob(sample[:, None])
    return by_factor


def _mixture(table: Tensor) -> Tensor:
    """log 1/B Σ_m q_sm, over the second dimension."""
    return table.exp().mean(1).log()


def _prior(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """log p(z) per example, [B], [B, G] and [B, F]."""
    by_factor = []
    for block, sample in zip(batch.latents.blocks, batch.sample, strict=True):
        if isinstance(block, ConcreteBlock):
            by_factor.append(
                Categorical(logits=torch.zeros(len(sample), block.n_code).double()).log_prob(sample.argmax(1))[:, None]
            )
        else:
            by_factor.append(Normal(torch.tensor(0.0).double(), 1.0).log_prob(sample))
    by_block = torch.stack([each.sum(1) for each in by_factor], dim=1)
    joint = by_block.sum(1)
    if batch.rho:
        z = torch.cat(list(batch.sample), dim=1)
        joint = MultivariateNormal(torch.zeros_like(z[0]), _covariance(z.shape[1], batch.rho)).log_prob(z)
    return joint, by_block, torch.cat(by_factor, dim=1)


def _covariance(factors: int, rho: float) -> Tensor:
    """1 on the diagonal, ρ between factor i of the first half and of the second."""
    covariance = torch.eye(factors).double()
    if rho:
        half = torch.arange(factors // 2)
        covariance[half, half + factors // 2] = covariance[half + factors // 2, half] = rho
    return covariance


def _closed_kl(batch: Batch) -> Tensor:
    total = torch.zeros(BATCH).double()
    normals = []
    for block, parameters in zip(batch.latents.blocks, batch.posterior, strict=True):
        if isinstance(block, ConcreteBlock):
            total = total + kl_divergence(
                Categorical(logits=parameters), Categorical(logits=torch.zeros_like(parameters))
            )
        else:
            normals.append(parameters.chunk(2, dim=1))
    mean, log_scale = (torch.cat(each, dim=1) for each in zip(*normals, strict=True))
    q = MultivariateNormal(mean, torch.diag_embed((2 * log_scale).exp()))
    p = MultivariateNormal(torch.zeros_like(mean), _covariance(mean.shape[1], batch.rho))
    return (total + kl_divergence(q, p)).mean()


def sides(
    cases: list[Batch], left: Callable[[Batch], Tensor], right: Callable[[Terms], Tensor]
) -> tuple[list[float], list[float]]:
    """Both sides of a statement over several batches: the package's, and the written-out one."""
    return [float(left(each)) for each in cases], [float(right(Terms(each))) for each in cases]
