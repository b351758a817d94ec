"""Statements about β-VAE's objective as a whole: α-β's Theorem 1, Corollary 1 and Theorem 2.

Two autoencoders differ by a map z ↦ stretch·Rz of the latent space only. Shapes: B batch; D factors; X values.
Everything is float64.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Laplace, MixtureSameFamily, Normal

from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.anisotropic import anisotropic
from hfvae_runner.latents.priors.laplace import laplace
from hfvae_runner.latents.priors.mixture import mixture
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives import terms
from hfvae_runner.reproduce.statements import Statement

_X = 4
_BETAS = (0.5, 4.0)


class _Encoder(nn.Module):
    """Means stretch·Rμ(x) and deviations stretch·s(x), the same for all factors: [B, X] -> [B, 2·D]."""

    def __init__(self, rotation: Tensor, stretch: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(_X, 8), nn.Tanh())
        self.mean = nn.Linear(8, len(rotation))
        self.log_scale = nn.Linear(8, 1)
        self.rotation, self.stretch = rotation, stretch

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x)
        mean: Tensor = self.stretch * self.mean(hidden) @ self.rotation.T
        log_scale = self.log_scale(hidden) - 2 + math.log(self.stretch)
        return torch.cat([mean, log_scale.expand_as(mean)], dim=1)


class _Decoder(nn.Module):
    """p(x | Rᵀz/stretch), a mean and a log scale for each value: [B, D] -> [B, 2, X]."""

    def __init__(self, rotation: Tensor, stretch: float) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(len(rotation), 8), nn.Tanh(), nn.Linear(8, 2 * _X))
        self.rotation, self.stretch = rotation, stretch

    def forward(self, code: Tensor) -> Tensor:
        raw: Tensor = self.network(code @ self.rotation / self.stretch)
        values: Tensor = raw.unflatten(1, (2, _X))
        return values


def _vae(latents: Latents, rotation: Tensor | None = None, stretch: float = 1.0) -> VAE:
    """The same parameters whatever the map."""
    turn = torch.eye(latents.n_code).double() if rotation is None else rotation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = Networks(_Encoder(turn, stretch), _Decoder(turn, stretch))
    return VAE(networks, latents, GaussianLikelihood(scale="predicted")).double()


def _inputs(examples: int) -> Tensor:
    return 3 * torch.randn(examples, _X, generator=torch.Generator().manual_seed(1)).double()


def _beta_elbo(model: VAE, x: Tensor, noise: Tensor, beta: float) -> Tensor:
    """log p(x|z) − β·KL(q(z|x) ‖ p(z)) at each example's sample, [B]; the KL is sampled where it has no closed form."""
    evidence = model(x, [noise], estimator="stratified", n_data=len(x))
    bound: Tensor = evidence.log_px - beta * terms.mean("kl").per_example(evidence)
    return bound


def statements() -> list[Statement]:
    """Return the statements, in the paper's order."""
    with torch.no_grad():
        return [_theorem_1(), _gaussian_annealing(), _corollary_1(), *_theorem_2()]


def _one_factor() -> list[tuple[Latents, Distribution]]:
    zero = torch.tensor(0.0).double()
    two = MixtureSameFamily(
        Categorical(torch.ones(2).double()), Normal(torch.tensor([-1.0, 1.0]).double(), torch.tensor(0.5).double())
    )
    pair = mixture(size=1, components=2, radius=1.0, means=None, variance=0.25, weights=None, learned=False)
    return [
        (normal(size=1), Normal(zero, 1.0)),
        (laplace(size=1, scale=1.0, learned=False), Laplace(zero, 1.0)),
        (pair, two),
    ]


_Z = torch.linspace(-40, 40, 160_001, dtype=torch.float64)
"""Steps of 0.0005 with a knot at 0, where Laplace's density has its kink."""


def _annealed(prior: Distribution, beta: float) -> tuple[Tensor, Tensor]:
    """log f_β = log p^β/F_β on the grid, and log F_β."""
    log_power = beta * prior.log_prob(_Z)
    log_constant = torch.trapezoid(log_power.exp(), _Z).log()
    return log_power - log_constant, log_constant


def _theorem_1() -> Statement:
    """Eq. 3: by the package's model, with the sample's noise integrated out, and from densities on a grid."""
    x = _inputs(1)
    points = torch.linspace(-9, 9, 721, dtype=torch.float64)
    weights = Normal(torch.tensor(0.0).double(), 1.0).log_prob(points).exp() * (points[1] - points[0])
    left, right = [], []
    for latents, prior in _one_factor():
        model = _vae(latents)
        q_mean, q_log_scale = model.encode(x)[0][0]
        q = Normal(q_mean, q_log_scale.exp())
        location, log_scale = model.decode(_Z[:, None]).unbind(1)
        log_px = Normal(location, log_scale.exp()).log_prob(x).sum(1)
        for beta in _BETAS:
            left.append(float(weights @ _beta_elbo(model, x.expand(len(points), _X), points[:, None], beta)))
            log_annealed, log_constant = _annealed(prior, beta)
            bound = torch.trapezoid(q.log_prob(_Z).exp() * (log_px + log_annealed - q.log_prob(_Z)), _Z)
            right.append(float(bound + (beta - 1) * q.entropy() + log_constant))
    return Statement(
        "L_β(x) = ELBO under the annealed prior + (β−1) H(q) + log F_β", "α-β Theorem 1", left, right, 1e-6
    )


def _gaussian_annealing() -> Statement:
    """f_β on a few points, and its closed forms."""
    at = slice(70_000, 90_000, 1_111)
    zero = torch.tensor(0.0).double()
    left: list[float] = []
    right: list[float] = []
    for beta in _BETAS:
        pairs: list[tuple[Distribution, Distribution]] = [
            (Normal(zero, 1.0), Normal(zero, beta**-0.5)),
            (Laplace(zero, 1.0), Laplace(zero, 1 / beta)),
        ]
        for prior, known in pairs:
            left += _annealed(prior, beta)[0][at].tolist()
            right += known.log_prob(_Z[at]).tolist()
    return Statement(
        "f_β ∝ p^β is N(0, Σ/β) for N(0, Σ), and Laplace(b/β) for Laplace(b)", "α-β Sec. 4.1", left, right, 1e-6
    )


def _corollary_1() -> Statement:
    """Eq. 4; both sides decode the same points."""
    factors = 2
    latents = normal(size=factors)
    x = _inputs(8)
    noise = torch.randn(8, factors, generator=torch.Generator().manual_seed(2)).double()
    left: list[float] = []
    right: list[float] = []
    for beta in _BETAS:
        stretched = _vae(latents, stretch=math.sqrt(beta))
        log_determinant = 2 * stretched.encode(x)[0][:, factors:].sum(1)
        log_constant = factors * (0.5 * (1 - beta) * math.log(2 * math.pi) - 0.5 * math.log(beta))
        constant = 0.5 * factors * (beta - 1) * (1 + math.log(2 * math.pi / beta)) + log_constant
        left += _beta_elbo(_vae(latents), x, noise, beta).tolist()
        right += (_beta_elbo(stretched, x, noise, 1.0) + 0.5 * (beta - 1) * log_determinant + constant).tolist()
    return Statement(
        "L_β = ELBO of the space stretched by √β + (β−1)/2·log|S| + c", "α-β Corollary 1", left, right, 1e-9
    )


def _theorem_2() -> list[Statement]:
    """Rotated networks under an isotropic prior, and under priors that have axes; the noise turns with the space."""
    factors, beta = 3, 4.0
    raw = torch.randn(factors, factors, generator=torch.Generator().manual_seed(4)).double()
    rotation = torch.linalg.matrix_exp(raw - raw.T)
    x = _inputs(8)
    noise = torch.randn(8, factors, generator=torch.Generator().manual_seed(2)).double()

    def both(latents: Latents) -> tuple[Tensor, Tensor]:
        plain = _beta_elbo(_vae(latents), x, noise, beta)
        return plain, _beta_elbo(_vae(latents, rotation), x, noise @ rotation.T, beta)

    plain, turned = both(normal(size=factors))
    unequal = anisotropic(
        size=factors, variances=[4.0, 1.0, 0.25], pca_as="deviations", scale=1.0, learned=False,
        examples=torch.zeros(1, 1),
    )  # fmt: skip
    with_axes = [both(each) for each in (unequal, laplace(size=factors, scale=1.0, learned=False))]
    changes = [float(abs(a.mean() - b.mean())) for a, b in with_axes]
    return [
        Statement(
            "L_β is the same for rotated networks, p(z) isotropic", "α-β Theorem 2",
            plain.tolist(), turned.tolist(), 1e-9,
        ),
        Statement(
            "|L_β − L_β of rotated networks| > 0 under an anisotropic and a Laplace prior", "α-β Sec. 6.1",
            changes, [0.0] * len(changes), 1e-3, "greater",
        ),
    ]  # fmt: skip
