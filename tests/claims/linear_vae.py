"""The linear-Gaussian model x = Wz + b + noise, made of the package's own pieces, with its bound and its likelihood.

Shapes: N examples of X values; D factors. Everything is float64.
"""

import math

import torch
from engine import loss_of, objective_of
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE


class LinearEncoder(nn.Module):
    """Posterior means linear in x, and deviations that are the same for all x: [N, X] -> [N, 2·D]."""

    def __init__(self, values: int, factors: int) -> None:
        super().__init__()
        self.means = nn.Linear(values, factors)
        self.log_scale = nn.Parameter(torch.zeros(factors))

    def forward(self, x: Tensor) -> Tensor:
        means = self.means(x)
        return torch.cat([means, self.log_scale.expand_as(means)], dim=1)


class LinearVAE:
    """The model, its evidence lower bound and its exact log-likelihood.

    Args:
        values: X.
        factors: D.
        scale: the noise's standard deviation, or ``learned``.
        seed: of the random start.
    """

    def __init__(self, values: int, factors: int, scale: float | str, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.encoder = LinearEncoder(values, factors)
        self.decoder = nn.Linear(factors, values)
        networks = Networks(self.encoder, nn.Sequential(self.decoder, nn.Unflatten(1, (1, values))))
        self.model = VAE(networks, normal(size=factors), GaussianLikelihood(scale=scale)).double()
        self.objective = objective_of("vae", self.model.latents)

    @property
    def weights(self) -> Tensor:
        """W, [X, D]."""
        return self.decoder.weight.detach()

    @property
    def noise_variance(self) -> float:
        """σ²."""
        return self.model.likelihood.settings()["scale"] ** 2

    def loss(self, x: Tensor) -> Tensor:
        """What ``objective=vae`` minimises, without sampling error.

        A quadratic's mean over N(0, I) is its mean over the 2·D points ±√D·e_d, and log p(x|z) is a quadratic in z.
        """
        factors = self.decoder.in_features
        axes = math.sqrt(factors) * torch.eye(factors, dtype=x.dtype)
        points = torch.cat([axes, -axes])
        noise = points.repeat(len(x), 1)
        repeated = x.repeat_interleave(len(points), dim=0)
        evidence = self.model(repeated, [noise], estimator=self.objective.estimator, n_data=len(noise))
        return loss_of(self.objective, evidence)

    def elbo(self, x: Tensor) -> float:
        """The mean evidence lower bound, nats per example."""
        return -self.loss(x).item()

    @torch.no_grad()
    def log_likelihood(self, x: Tensor) -> float:
        """Mean log N(x; b, WWᵀ + σ²·I), nats per example."""
        covariance = self.weights @ self.weights.T + self.noise_variance * torch.eye(x.shape[1], dtype=x.dtype)
        return MultivariateNormal(self.decoder.bias, covariance).log_prob(x).mean().item()

    def train(self, x: Tensor) -> None:
        """To the optimum, by a quasi-Newton method."""
        parameters = list(self.model.parameters())
        optimizer = torch.optim.LBFGS(
            parameters,
            max_iter=2000,
            history_size=50,
            tolerance_grad=1e-9,
            tolerance_change=1e-15,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss(x)
            loss.backward()
            return loss

        optimizer.step(closure)


def with_covariance(covariance: Tensor, examples: int, seed: int) -> Tensor:
    """Points [N, X] whose mean is 0 and whose covariance Σ xxᵀ/N is the given one, both exactly."""
    raw = torch.randn(examples, len(covariance), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centred = raw - raw.mean(0)
    whitening = torch.linalg.cholesky(torch.linalg.inv(centred.T @ centred / examples))
    return centred @ whitening @ torch.linalg.cholesky(covariance).T
