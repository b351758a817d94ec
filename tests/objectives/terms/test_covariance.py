"""DIP-VAE's two terms against numpy's covariance."""

import numpy as np
import pytest
import torch
from engine import blocks, drawn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives import terms

LAYOUT = (2, -3, 3)


def value(name: str, evidence: Evidence, **options: object) -> float:
    return terms.bind(name, evidence.latents, options)(evidence, ()).item()


def by_numpy(evidence: Evidence, chosen: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Cov[μ] with 1/B, and E[σ²], of the chosen normal blocks."""
    halves = [np.split(evidence.posterior[g].numpy(), 2, axis=1) for g in chosen]
    mean, log_scale = (np.concatenate(parts, axis=1) for parts in zip(*halves, strict=True))
    return np.cov(mean.T, bias=True), (np.exp(log_scale) ** 2).mean(0)


@pytest.mark.parametrize(("names", "chosen"), [(None, (0, 2)), (["c"], (2,))])
def test_they_are_numpy_s_covariance(names: list[str] | None, chosen: tuple[int, ...]) -> None:
    evidence = drawn(blocks(*LAYOUT), 8, 90).evidence("stratified")
    of_means, variance = by_numpy(evidence, chosen)
    options = {} if names is None else {"blocks": names}
    off = of_means[~np.eye(len(of_means), dtype=bool)]
    assert value("off_diagonal_covariance", evidence, **options) == pytest.approx((off**2).sum())
    diagonal = np.diag(of_means)
    assert value("diagonal_covariance", evidence, **options) == pytest.approx(((diagonal - 1) ** 2).sum())
    second = value("diagonal_covariance", evidence, of="samples", **options)
    assert second == pytest.approx(((diagonal + variance - 1) ** 2).sum())


def test_with_the_variances_it_is_the_covariance_of_samples_from_q() -> None:
    """A million draws from the batch's mixture: nothing but Cov[μ] off the diagonal, E[σ²] more on it."""
    evidence = drawn(blocks(3), 4, 90).evidence("stratified")
    of_means, variance = by_numpy(evidence, (0,))
    generator = torch.Generator().manual_seed(0)
    mean, log_scale = (half.repeat(250_000, 1) for half in evidence.posterior[0].chunk(2, dim=1))
    samples = mean + log_scale.exp() * torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    np.testing.assert_allclose(np.cov(samples.T.numpy()), of_means + np.diag(variance), atol=0.03)


def test_one_factor_has_nothing_off_the_diagonal() -> None:
    assert value("off_diagonal_covariance", drawn(blocks(1), 8, 90).evidence("stratified")) == 0


@pytest.mark.parametrize("name", ["off_diagonal_covariance", "diagonal_covariance"])
def test_they_are_of_continuous_blocks(name: str) -> None:
    latents = blocks(*LAYOUT)
    with pytest.raises(ConfigError, match="blocks: b is discrete; expected continuous blocks only"):
        terms.bind(name, latents, {"blocks": ["a", "b"]})
    with pytest.raises(ConfigError, match="no continuous block"):
        terms.bind(name, blocks(-3), {})


def test_the_gradients_are_those_of_the_definition() -> None:
    """By finite differences."""
    batch = drawn(blocks(3), 5, 90)
    leaves = [each.requires_grad_() for each in batch.posterior]
    bound = [
        terms.bind("off_diagonal_covariance", batch.latents, {}),
        terms.bind("diagonal_covariance", batch.latents, {"of": "samples"}),
    ]

    def total(posterior: torch.Tensor) -> torch.Tensor:
        evidence = Evidence(batch.latents, [posterior], batch.sample, torch.zeros(5), batch.aggregate("stratified"))
        return bound[0](evidence, ()) + bound[1](evidence, ())

    assert torch.autograd.gradcheck(total, (leaves[0],))
