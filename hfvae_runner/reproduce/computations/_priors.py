"""Closed forms of priors: the KL of one factor, and ISA-VAE's Lp-nested densities with their marginals."""

import math
from collections.abc import Sequence

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution, Laplace, Normal

from hfvae_runner.latents import aggregate
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.anisotropic import anisotropic
from hfvae_runner.latents.priors.generalised_normal import generalised_normal
from hfvae_runner.latents.priors.isa import isa
from hfvae_runner.latents.priors.laplace import laplace
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.reproduce.statements import Statement


def statements() -> list[Statement]:
    """Return the statements, in the order of the papers."""
    return [_closed_kl(), _independent(), _marginal(), _all_two(), _all_equal()]


def _closed_kl() -> Statement:
    """KL(q(z|x) ‖ p(z)) of one factor, in closed form and by the trapezoidal rule."""
    unequal = anisotropic(
        size=2, variances=[3.0, 1.0], pca_as="deviations", scale=1.0, learned=False, examples=torch.zeros(1, 1)
    )
    zero = torch.tensor(0.0).double()
    # The anisotropic prior's variances add up to D = 2.
    priors: list[tuple[Latents, list[Distribution]]] = [
        (normal(size=1), [Normal(zero, 1.0)]),
        (laplace(size=1, scale=0.8, learned=False), [Laplace(zero, 0.8)]),
        (unequal, [Normal(zero, math.sqrt(1.5)), Normal(zero, math.sqrt(0.5))]),
    ]
    # A knot at 0, where Laplace's density has its kink.
    z = torch.linspace(-30, 30, 120_001, dtype=torch.float64)
    left, right = [], []
    for latents, by_factor in priors:
        latents.double()
        size = len(by_factor)
        posterior = torch.randn(3, 2 * size, generator=torch.Generator().manual_seed(0)).double()
        sample = [torch.zeros(3, size).double()]
        q_z = aggregate.from_batch(latents, [posterior], sample, estimator="stratified", n_data=3)
        evidence = Evidence(latents, [posterior], sample, torch.zeros(3).double(), q_z)
        left += evidence.kl("factor").flatten().tolist()
        for row in posterior:
            for d, p in enumerate(by_factor):
                q = Normal(row[d], row[size + d].exp())
                ratio = q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z))
                right.append(float(torch.trapezoid(ratio, z)))
    return Statement("KL(q(z|x) ‖ p(z)) in closed form = ∫ q log q/p", "used by all papers", left, right, 1e-6)


def _nested(sizes: list[int], root: float, below: list[float], scale: float) -> Latents:
    return isa(
        size=sum(sizes), subspaces=sizes, root_exponent=root, exponents=below, scale=scale, learned=False
    ).double()


_SIZES, _ROOT, _BELOW, _SCALE = [2, 3, 1], 2.1, [1.4, 3.0, 2.0], 0.7


def _points(n: int, count: int = 8) -> Tensor:
    return torch.randn(count, n, generator=torch.Generator().manual_seed(1)).double()


def _split(latents: Latents, z: Tensor) -> list[Tensor]:
    return list(z.split([block.n_code for block in latents.blocks], dim=1))


def _eq_7(z: Tensor, sizes: Sequence[int], below: Sequence[float]) -> Tensor:
    """log p(z) by Eq. 7 to 9 and 11, written out: [B, n] -> [B]."""
    n = sum(sizes)
    parts = z.abs().split(list(sizes), dim=1)
    # Eq. 9.
    norms = torch.stack([(part**p).sum(1) ** (1 / p) for part, p in zip(parts, below, strict=True)], dim=1)
    f = (norms**_ROOT).sum(1) ** (1 / _ROOT)
    # Eq. 8, first the root, then the inner nodes.
    log_surface = n * math.log(2) - (len(sizes) - 1) * math.log(_ROOT) - math.lgamma(n / _ROOT)
    for size, p in zip(sizes, below, strict=True):
        log_surface += math.lgamma(size / _ROOT) - (size - 1) * math.log(p) + size * math.lgamma(1 / p)
        log_surface -= math.lgamma(size / p)
    # Eq. 11.
    log_radial = math.log(_ROOT) + (n - 1) * f.log() - math.lgamma(n / _ROOT) - n / _ROOT * math.log(_SCALE)
    log_radial = log_radial - f**_ROOT / _SCALE
    # Eq. 7.
    return log_radial - (n - 1) * f.log() - log_surface


def _independent() -> Statement:
    """The joint density written out, and the package's densities of the subspaces, each a prior of its own."""
    z = _points(sum(_SIZES))
    right = torch.zeros(len(z)).double()
    for part, n, p in zip(z.split(_SIZES, dim=1), _SIZES, _BELOW, strict=True):
        right = right + _nested([n], _ROOT, [p], _SCALE).log_prior("joint", [part])
    what = "log ψ₀(f(z)) − (n−1) log f(z) − log S_f(1) = Σ_g log p(V_g): independent subspaces"
    return Statement(what, "ISA-VAE Eq. 7 to 11", _eq_7(z, _SIZES, _BELOW).tolist(), right.tolist(), 1e-5)


def _marginal() -> Statement:
    """A subspace's density in closed form, and Eq. 7 integrated over the other subspace."""
    sizes, below = [2, 1], [1.4, 2.0]
    latents = _nested(sizes, _ROOT, below, _SCALE)
    z = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    points = _points(2)
    left = latents.log_prior("block", [points, torch.zeros(len(points), 1).double()])[:, 0].tolist()
    right = []
    for point in points:
        joint = _eq_7(torch.cat([point.expand(len(z), 2), z[:, None]], dim=1), sizes, below)
        right.append(float(torch.trapezoid(joint.exp(), z).log()))
    return Statement("log p(V_g) in closed form = log ∫ p(z) over the others", "ISA-VAE Eq. 7, 10", left, right, 1e-5)


def _all_two() -> Statement:
    """p = 2 everywhere: the normal distribution with the variance s/2."""
    z = _points(4)
    left: list[float] = []
    right: list[float] = []
    for scale in (1.0, 2.0):
        latents = _nested([2, 2], 2.0, [2.0, 2.0], scale)
        left += latents.log_prior("joint", _split(latents, z)).tolist()
        right += stats.norm(scale=math.sqrt(scale / 2)).logpdf(z.numpy()).sum(1).tolist()
    return Statement("with all exponents 2, p(z) = N(0, s/2·I)", "ISA-VAE Sec. 3.2", left, right, 1e-5)


def _all_equal() -> Statement:
    """All exponents p: independent factors, each a generalised normal distribution with the scale s^(1/p)."""
    z = _points(4)
    left: list[float] = []
    right: list[float] = []
    for p in (1.0, 1.5, 4.0):
        for latents in (
            _nested([2, 2], p, [p, p], _SCALE),
            generalised_normal(size=4, exponent=p, scale=_SCALE, learned=False).double(),
        ):
            left += latents.log_prior("joint", _split(latents, z)).tolist()
            right += stats.gennorm(p, scale=_SCALE ** (1 / p)).logpdf(z.numpy()).sum(1).tolist()
    return Statement("with all exponents p, p(z) = ∏ exp(−|z_d|^p/s)/Z", "ISA-VAE Eq. 5", left, right, 1e-5)
