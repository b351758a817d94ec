"""Learned parameters go to those of the data: draws of a known prior, fitted by maximum likelihood from elsewhere."""

import math

import pytest
import torch
from torch import Tensor
from variants import draw, made

from hfvae_runner.latents.latents import Latents

pytestmark = pytest.mark.usefixtures("one_thread")
DRAWS = 20_000

# (prior, latents, options of both, the truth, the start, the setting that is compared)
KNOWN = [
    ("anisotropic", 3, {}, {"variances": [4, 1, 0.5]}, {"variances": None}, "variances"),
    ("laplace", 2, {}, {"scale": 0.4}, {"scale": 1.0}, "scale"),
    ("student_t", 2, {}, {"nu": 3.0}, {"nu": 10.0}, "nu"),
    ("generalised_normal", 2, {}, {"exponent": 1.5}, {"exponent": 2.5}, "exponent"),
    (
        "mixture",
        2,
        {"weights": [0.3, 0.7]},
        {"means": [[1.5, 0.5], [-0.8, -1.2]], "variance": 0.2},
        {"means": [[1.0, 0.2], [-1.0, -0.2]], "variance": 0.5},
        "means",
    ),
    (
        "mixture",
        2,
        {"weights": [0.3, 0.7]},
        {"means": [[1.5, 0.5], [-0.8, -1.2]], "variance": 0.2},
        {"means": [[1.0, 0.2], [-1.0, -0.2]], "variance": 0.5},
        "variances",
    ),
    ("isa", 6, {"subspaces": 3}, {"exponents": [1.5, 3.0]}, {"exponents": 2.0}, "exponents"),
    (
        "lp_nested",
        6,
        {"tree": [1, [2, [3]]], "root_exponent": 1.8},
        {"exponents": [2.8, 1.6]},
        {"exponents": 2.0},
        "exponents",
    ),
]


def fit(latents: Latents, sample: list[Tensor], iterations: int = 40) -> None:
    """Maximises the mean log-density of the sample."""
    optimizer = torch.optim.LBFGS(latents.parameters(), max_iter=iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -latents.log_prior("joint", sample).mean()
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize(
    ("name", "size", "both", "truth", "start", "setting"), KNOWN, ids=[f"{row[0]} {row[-1]}" for row in KNOWN]
)
def test_a_fit_finds_the_parameters_that_made_the_data(
    name: str, size: int, both: dict[str, object], truth: dict[str, object], start: dict[str, object], setting: str
) -> None:
    source = made(name, size, **both, **truth, learned=False).double()
    latents = made(name, size, **both, **start, learned=True).double()
    wanted = torch.tensor(source.settings()[setting])
    before = torch.tensor(latents.settings()[setting])
    fit(latents, draw(source, DRAWS))
    found = torch.tensor(latents.settings()[setting])
    assert ((before - wanted).abs() > 0.2 * wanted).any(), "the start tells nothing"
    # Some four standard errors of the worst of them, Student's nu.
    torch.testing.assert_close(found, wanted, rtol=0.06, atol=0)


def test_a_flow_finds_a_density_with_two_peaks() -> None:
    latents = made("flow", 1, steps=16).double()
    source = made("mixture", 1, radius=1.5, variance=0.3).double()
    sample, fresh = draw(source, 1000), draw(source, 20_000, seed=1)
    fit(latents, sample, iterations=60)
    with torch.no_grad():
        divergence = (source.log_prior("joint", fresh) - latents.log_prior("joint", fresh)).mean().item()
        normal = torch.distributions.Normal(0, math.sqrt(1.5**2 + 0.3))
        of_a_normal = (source.log_prior("joint", fresh) - normal.log_prob(fresh[0][:, 0])).mean().item()
        (z,) = draw(latents, 20_000, seed=2)
    assert divergence < 0.03 < of_a_normal
    assert abs((z.abs() < 0.5).double().mean() - (fresh[0].abs() < 0.5).double().mean()) < 0.02
