"""KL(p(z) ‖ q(z)) as a metric: in closed form, by integrals and enumeration, and of many examples in tiles."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from engine import a_posterior, blocks, naive_log_q
from measuring import inclusive_kl_of
from subjects import represented, subject
from torch import Tensor
from torch.distributions import Normal

from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.isa import isa
from hfvae_runner.latents.priors.mixture import mixture
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.two_groups import two_groups
from hfvae_runner.metrics.inclusive_kl import inclusive_kl

pytestmark = pytest.mark.usefixtures("one_thread")
DRAWS = 20_000
PLANE = {
    "mixture": mixture(
        size=2, components=None, radius=None, means=None, variance=0.03, weights=None, learned=False
    ).double(),
    "isa": isa(size=2, subspaces=2, root_exponent=2.1, exponents=1.5, scale=1.0, learned=False).double(),
    "two_groups": two_groups(sizes=[1, 1], correlation=0.7).double(),
}


def measured(latents: Latents, posterior: list[Tensor], draws: int = DRAWS, seed: int = 0) -> dict[str, object]:
    return inclusive_kl_of(latents, posterior, draws, seed)


def assert_estimates(found: dict[str, object], expected: float, most: float = 0.02) -> None:
    """Within four standard errors, of which each is small."""
    value, error = found["inclusive_kl"], found["inclusive_kl_se"]
    assert isinstance(value, float) and isinstance(error, float)
    assert 0 < error < most
    assert value == pytest.approx(expected, abs=4 * error)


def normals(mean: Tensor, scale: Tensor) -> Tensor:
    return torch.cat([mean, scale.log()], dim=1)


def test_one_example_gives_the_closed_form() -> None:
    """KL(N(0, 1) ‖ N(m, s²)) = log s + (1 + m²)/(2s²) − ½ a factor, and the ratio's variance is known, too."""
    mean, scale = torch.tensor([[0.5, -1.0, 0.0]]).double(), torch.tensor([[1.3, 0.8, 1.0]]).double()
    found = measured(normal(size=3), [normals(mean, scale)])
    assert_estimates(found, (scale.log() + (1 + mean**2) / (2 * scale**2) - 0.5).sum().item(), most=0.03)
    # The ratio is a(z² − 1) + bz + constant, with a = (1/s² − 1)/2 and b = −m/s²; Var z² = 2.
    a, b = (1 / scale**2 - 1) / 2, mean / scale**2
    assert found["inclusive_kl_se"] == pytest.approx(((2 * a**2 + b**2).sum() / DRAWS).sqrt().item(), rel=0.05)


def test_posteriors_that_are_the_prior_have_no_divergence() -> None:
    found = measured(normal(size=4), [torch.zeros(30, 8).double()], draws=50)
    assert found["inclusive_kl"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", PLANE)
def test_in_the_plane_it_is_the_integral(name: str) -> None:
    latents = PLANE[name]
    posterior = [0.5 * each for each in a_posterior(latents, 4, seed=1)]
    line = torch.linspace(-8, 8, 801, dtype=torch.float64)
    z = list(torch.cartesian_prod(line, line).split([block.n_code for block in latents.blocks], dim=1))
    with torch.no_grad():
        log_p = latents.log_prior("joint", z)
        log_q = naive_log_q(latents, "joint", posterior, z, torch.full((len(log_p), 4), 0.25).double())
        expected = (log_p.exp() * (log_p - log_q)).sum().item() * (line[1] - line[0]).item() ** 2
    assert expected > 0.1
    assert_estimates(measured(latents, posterior), expected)


def test_of_discrete_variables_alone_it_is_the_sum_over_categories() -> None:
    latents = blocks(-3, -2)
    posterior = a_posterior(latents, 5, seed=0)
    q = torch.einsum("nj,nk->njk", *(torch.softmax(each, 1) for each in posterior)).mean(0)
    expected = -(6 * q).log().mean().item()
    assert expected > 0.05
    assert_estimates(measured(latents, posterior), expected)


def test_of_both_kinds_it_is_the_integral_for_each_category() -> None:
    """Not the sum of two divergences: q(z, c) is not q(z)·q(c)."""
    latents = blocks(1, -3)
    # Each example has a category of its own, and a mean of its own.
    mean, scale = torch.tensor([[-1.0], [0.0], [1.0]]).double(), torch.full((3, 1), 0.7).double()
    logits = 2 * torch.eye(3).double()
    z = torch.linspace(-9, 9, 1801, dtype=torch.float64)
    log_p, step = Normal(0, 1).log_prob(z), (z[1] - z[0]).item()
    density = Normal(mean, scale).log_prob(z).exp()
    joint = [(torch.softmax(logits, 1)[:, k, None] * density).mean(0).log() for k in range(3)]
    expected = sum((log_p.exp() / 3 * (log_p - math.log(3) - each)).sum().item() * step for each in joint)
    assert_estimates(measured(latents, [normals(mean, scale), logits]), expected, most=0.03)
    alone = (log_p.exp() * (log_p - density.mean(0).log())).sum().item() * step
    assert expected > alone + 0.1  # q(c) is uniform


@pytest.mark.parametrize("density", ["argmax", "enumerate", "concrete"])
def test_the_density_of_training_changes_nothing(density: str) -> None:
    found = [measured(blocks(2, -3, density=each), a_posterior(blocks(2, -3), 6, seed=0), draws=100)
             for each in ("argmax", density)]  # type: ignore[arg-type]  # fmt: skip
    assert found[0] == found[1]


def test_the_order_of_the_examples_does_not_matter_and_all_of_them_count() -> None:
    """More examples than a tile holds, in single precision, as a run has them."""
    latents = blocks(3, -4)
    generator = torch.Generator().manual_seed(0)
    posterior = [torch.randn(9000, block.n_parameters, generator=generator) for block in latents.blocks]
    order = torch.randperm(9000, generator=generator)
    values = [
        measured(latents, [each[chosen] for each in posterior], draws=300)["inclusive_kl"]
        for chosen in (torch.arange(9000), order, order[:8192])
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-5)
    assert values[0] != pytest.approx(values[2], abs=1e-4)
    double = [each.double() for each in posterior]
    assert values[0] == pytest.approx(measured(latents, double, draws=300)["inclusive_kl"], abs=0.3)


def test_the_same_seed_gives_the_same_number() -> None:
    def once(seed: int) -> object:
        return measured(blocks(2), a_posterior(blocks(2), 5, seed=0), draws=50, seed=seed)["inclusive_kl"]

    assert once(1) == once(1) != once(2)


def test_it_is_the_mean_of_the_ratios_with_its_standard_error() -> None:
    asked = []

    def ratios(n: int, seed: int) -> np.ndarray:
        asked.append((n, seed))
        return np.array([1.0, 2.0, 6.0])

    one = replace(subject(represented(np.zeros((4, 2))), seed=9), prior_log_ratios=ratios)
    found = inclusive_kl(one, draws=3)
    assert asked == [(3, 9)]
    assert found == {"inclusive_kl": 3.0, "inclusive_kl_se": pytest.approx(math.sqrt(7 / 3))}


def test_a_single_draw_has_no_standard_error() -> None:
    found = inclusive_kl(subject(represented(np.zeros((4, 2)))), draws=1)
    assert found["inclusive_kl"] == 0
    assert found["inclusive_kl_se"] is None
    assert found["inclusive_kl_se_why"] == "a single draw has no standard error"


def test_a_density_that_underflows_says_so() -> None:
    """In single precision, (z − m)/s of more than 2e19 has no square."""
    posterior = normals(torch.zeros(2, 2), torch.full((2, 2), 1e-30))
    found = measured(normal(size=2), [posterior], draws=20)
    for key in ("inclusive_kl", "inclusive_kl_se"):
        assert found[key] is None
        assert found[f"{key}_why"] == "log p(z) - log q(z) is not finite at 20 of 20 draws from the prior"


def test_sharper_posteriors_at_the_same_means_are_further_from_the_prior() -> None:
    mean = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=2))).double()
    values = [
        measured(normal(size=2), [normals(mean, torch.full_like(mean, s))])["inclusive_kl"] for s in (0.7, 0.3, 0.1)
    ]
    assert values == sorted(values)  # type: ignore[type-var]
    assert values[0] < 0.1  # type: ignore[operator]
