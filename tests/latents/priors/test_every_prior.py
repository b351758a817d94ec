"""What holds of every prior, over the files of conf/prior: a new one is covered by being there."""

import json
import math
from functools import cache
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
import torch
from engine import a_posterior, naive_log_q, standard_error
from measuring import inclusive_kl_of
from scipy.stats import chisquare, kstest
from torch import Tensor
from variants import AS_GIVEN, EVERY, LARGER, NAMES, PLANE, Variant, built, draw, made, on_the_plane

from hfvae_runner.config.names import Level, levels_to
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors.two_groups import PairedNormal
from hfvae_runner.training.seeds import derived

LEVELS: tuple[Level, ...] = get_args(Level)
INTEGRABLE = [variant for variant in AS_GIVEN + PLANE if on_the_plane(variant)]
LEARNED = [variant for variant in EVERY if any(p.requires_grad for p in built(variant).parameters())]
# Those with an option ``learned``.
SWITCHED = {"anisotropic", "student_t", "laplace", "generalised_normal", "mixture", "isa", "lp_nested"}
DRAWS = 50_000

# z = 0.05·sinh(t): fine around 0, where some priors are narrow, and far out, where some have tails.
STEP = 0.06
T = torch.arange(-200, 201, dtype=torch.float64) * STEP
Z = 0.05 * torch.sinh(T)
WEIGHT = 0.05 * torch.cosh(T) * STEP
GRID = torch.cartesian_prod(Z, Z)

every = pytest.mark.parametrize("variant", EVERY, ids=str)
integrable = pytest.mark.parametrize("variant", INTEGRABLE, ids=str)
learned = pytest.mark.parametrize("variant", LEARNED, ids=str)
pytestmark = pytest.mark.usefixtures("one_thread")


def split(latents: Latents, z: Tensor) -> list[Tensor]:
    return list(torch.split(z, [block.n_code for block in latents.blocks], dim=1))


def parameters_of(latents: Latents) -> list[Tensor]:
    return [parameter for parameter in latents.parameters() if parameter.requires_grad]


@cache
def log_density(variant: Variant) -> Tensor:
    """log p on the plane, [T, T]; the first factor runs down."""
    latents = built(variant)
    with torch.no_grad():
        return latents.log_prior("joint", split(latents, GRID)).view(len(T), len(T))


def numeric_marginals(variant: Variant) -> tuple[Tensor, Tensor]:
    """p of either factor at Z, by integrating the other one out."""
    density = log_density(variant).exp()
    return density @ WEIGHT, WEIGHT @ density


def p_values(variant: Variant, z: Tensor) -> list[float]:
    """Of tests of points [S, 2]: Kolmogorov–Smirnov of either factor, χ² of both at once on a table of 8×8 cells."""
    found, cells = [], []
    for values, marginal in zip(z.unbind(1), numeric_marginals(variant), strict=True):
        mass = (marginal * WEIGHT).numpy()
        cdf = np.cumsum(mass) - 0.5 * mass
        t = np.arcsinh(values.numpy() / 0.05)
        found.append(kstest(t, lambda x, cdf=cdf: np.interp(x, T.numpy(), cdf)).pvalue)
        # The cells' edges lie between points of the grid.
        edges = T.numpy()[np.searchsorted(cdf, np.arange(1, 8) / 8)] + STEP / 2
        cells.append((np.searchsorted(edges, t), np.searchsorted(edges, T.numpy())))
    (seen_1, grid_1), (seen_2, grid_2) = cells
    seen = np.bincount(8 * seen_1 + seen_2, minlength=64)
    mass = (log_density(variant).exp() * torch.outer(WEIGHT, WEIGHT)).numpy()
    expected = np.bincount((8 * grid_1[:, None] + grid_2).ravel(), mass.ravel(), minlength=64)
    # A mixture leaves cells empty.
    full = expected > 1e-4
    rest = [seen[~full].sum() + 1], [len(z) * expected[~full].sum() + 1]
    counts, wanted = np.append(seen[full], rest[0]), np.append(len(z) * expected[full], rest[1])
    return [*found, chisquare(counts, wanted * counts.sum() / wanted.sum()).pvalue]


def test_every_file_is_there() -> None:
    assert {"normal", "isa", "flow"} <= set(NAMES)
    assert len(INTEGRABLE) >= len(NAMES) - 2 + len(PLANE)


@integrable
def test_the_density_integrates_to_one(variant: Variant) -> None:
    total = WEIGHT @ log_density(variant).exp() @ WEIGHT
    assert total.item() == pytest.approx(1, abs=1e-3)


@integrable
def test_marginals_are_the_density_with_the_rest_integrated_out(variant: Variant) -> None:
    latents = built(variant)
    sample = split(latents, torch.stack([Z, Z], dim=1))
    inner = Z.abs() < 5
    expected = torch.stack(numeric_marginals(variant), dim=1)[inner]
    if latents.finest == "factor":
        torch.testing.assert_close(latents.log_prior("factor", sample).exp()[inner], expected, rtol=1e-3, atol=1e-5)
    if len(latents.blocks) == 2:
        torch.testing.assert_close(latents.log_prior("block", sample).exp()[inner], expected, rtol=1e-3, atol=1e-5)
        for g in range(2):
            alone = latents.log_prior("joint", sample, [g]).exp()
            torch.testing.assert_close(alone[inner], expected[:, g], rtol=1e-3, atol=1e-5)


@integrable
def test_draws_follow_the_density(variant: Variant) -> None:
    z = torch.cat(draw(built(variant), DRAWS), dim=1)
    assert min(p_values(variant, z)) > 1e-3


@pytest.mark.parametrize("variant", [v for v in INTEGRABLE if v.name in ("normal", "isa", "two_groups")], ids=str)
def test_the_test_of_draws_sees_seven_per_cent(variant: Variant) -> None:
    z = torch.cat(draw(built(variant), DRAWS), dim=1)
    assert min(p_values(variant, 1.07 * z)) < 1e-6


@pytest.mark.parametrize("variant", [v for v in PLANE if v.name in ("mixture", "two_groups")], ids=str)
def test_the_test_of_draws_sees_dependence(variant: Variant) -> None:
    z = torch.cat(draw(built(variant), DRAWS), dim=1)
    z[:, 1] = z[torch.randperm(DRAWS, generator=torch.Generator().manual_seed(0)), 1]
    assert min(p_values(variant, z)) < 1e-6


@every
def test_levels_add_up(variant: Variant) -> None:
    latents = built(variant)
    sample = draw(latents, 20)
    if latents.finest == "factor":
        per_factor = latents.log_prior("factor", sample)
        assert per_factor.shape == (20, len(latents.factor_names))
    per_block = latents.log_prior("block", sample)
    assert per_block.shape == (20, len(latents.blocks))
    if not any(isinstance(prior, PairedNormal) for prior in latents.priors):
        torch.testing.assert_close(per_block.sum(1), latents.log_prior("joint", sample))
    for g in range(len(latents.blocks)):
        torch.testing.assert_close(latents.log_prior("joint", sample, [g]), per_block[:, g])
        (piece,) = latents.pieces([g])
        if isinstance(piece.prior, FactorialPrior):
            torch.testing.assert_close(latents.log_prior("factor", sample, [g]).sum(1), per_block[:, g])
    for chosen in combinations(range(len(latents.blocks)), 2):
        torch.testing.assert_close(latents.log_prior("block", sample, chosen), per_block[:, list(chosen)])


@every
def test_a_level_finer_than_the_finest_is_refused(variant: Variant) -> None:
    latents = built(variant)
    sample = draw(latents, 2)
    for level in LEVELS:
        if level in levels_to(latents.finest):
            assert latents.log_prior(level, sample).isfinite().all()
        else:
            with pytest.raises(ConfigError, match=r"no marginals per factor.*block_kl"):
                latents.log_prior(level, sample)


@every
def test_closed_form_divergences_agree_with_monte_carlo(variant: Variant) -> None:
    latents = built(variant)
    posterior = a_posterior(latents, 3, seed=2)
    many = [parameters.repeat_interleave(DRAWS // 3, 0) for parameters in posterior]
    sample = latents.sample(
        many, latents.noise(len(many[0]), torch.Generator().manual_seed(3), torch.float64), hard=True
    )
    rows = zip(latents.blocks, many, sample, strict=True)
    log_q = [block.log_prob(parameters, z) for block, parameters, z in rows]
    for piece in latents.pieces(range(len(latents.blocks))):
        for level in levels_to(piece.prior.finest):
            closed = piece.kl(level, posterior)
            if closed is None:
                continue
            own = [log_q[g] for g in piece.blocks]
            blocks = torch.stack([each.sum(1) for each in own], dim=1)
            by_level = {"factor": torch.cat(own, dim=1), "block": blocks, "joint": blocks.sum(1)}
            with torch.no_grad():
                ratio = (by_level[level] - piece.log_prob(level, sample)).view(3, DRAWS // 3, -1)
            for example, each in zip(closed.view(3, -1), ratio, strict=True):
                assert ((each.mean(0) - example).abs() < 4.5 * standard_error(each) + 1e-9).all()


def test_which_have_a_closed_form() -> None:
    def has_one(latents: Latents) -> bool:
        posterior = a_posterior(latents, 2, seed=0)
        pieces = latents.pieces(range(len(latents.blocks)))
        return all(piece.kl("joint", posterior) is not None for piece in pieces)

    found = {name for name in NAMES if has_one(made(name))}
    assert found == {"normal", "normal_concrete", "codes_and_noise", "two_groups", "anisotropic", "laplace"}


@every
def test_values_and_gradients_are_finite_in_single_precision(variant: Variant) -> None:
    latents = variant.build(torch.float32)
    exact = built(variant)
    points = torch.tensor([0.0, 1e-30, -1e-6, 1e-3, -0.4, 1.0, -7.0, 200.0], dtype=torch.float64)
    if any(block.discrete for block in latents.blocks):
        sample = draw(exact, 8)
    else:
        row = points[:, None] * torch.linspace(1, 0.3, len(latents.factor_names), dtype=torch.float64)
        sample = split(exact, row)
    given = [z.float().requires_grad_() for z in sample]
    value = latents.log_prior("joint", given)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact.log_prior("joint", sample), rtol=1e-4, atol=1e-3)
    wanted = [*given, *parameters_of(latents)] if value.requires_grad else []
    for gradient in torch.autograd.grad(value.sum(), wanted, allow_unused=True) if wanted else []:
        assert gradient is None or gradient.isfinite().all()


@every
def test_draws_have_the_dtype_that_is_asked_for_and_depend_on_the_generator_alone(variant: Variant) -> None:
    latents = variant.build(torch.float32)
    for dtype in (torch.float32, torch.float64):
        first, again, other = (draw(latents, 5, seed, dtype) for seed in (0, 0, 1))
        assert [tuple(z.shape) for z in first] == [(5, block.n_code) for block in latents.blocks]
        assert all(map(torch.equal, first, again))
        assert not all(map(torch.equal, first, other))
        assert {z.dtype for z in first} == {dtype}


@every
def test_everything_moves_with_the_module(variant: Variant) -> None:
    latents = variant.build(torch.float32)
    sample = draw(latents, 3, dtype=torch.float32)
    noise = latents.prior_noise(3, torch.Generator().manual_seed(0))
    # A device without memory: an operation with a vector that stayed behind fails there.
    latents = latents.to("meta")
    assert latents.log_prior("joint", [z.to("meta") for z in sample]).device.type == "meta"
    moved = latents.prior_sample([[each.to("meta") for each in own] for own in noise])
    assert all(z.device.type == "meta" for z in moved)


@every
def test_the_divergence_from_q_z_is_the_plain_double_sum_over_its_draws(variant: Variant) -> None:
    """The metric ``inclusive_kl`` of 300 draws and 7 examples, whatever depends on what."""
    latents = built(variant)
    posterior = a_posterior(latents, 7, seed=3)
    generator = torch.Generator().manual_seed(derived(5, "metric", "inclusive_kl", "test"))
    with torch.no_grad():
        z = latents.prior_sample(latents.prior_noise(300, generator, torch.float64), hard=True)
        log_q = naive_log_q(latents, "joint", posterior, z, torch.full((300, 7), 1 / 7, dtype=torch.float64))
        ratios = latents.log_prior("joint", z) - log_q
    found = inclusive_kl_of(latents, posterior, draws=300, seed=5)
    assert found["inclusive_kl"] == pytest.approx(ratios.mean().item(), rel=1e-9)
    assert found["inclusive_kl_se"] == pytest.approx((ratios.std() / math.sqrt(300)).item(), rel=1e-9)


@every
def test_settings_are_strict_json(variant: Variant) -> None:
    settings = built(variant).settings()
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings


@learned
def test_the_log_densitys_gradient_towards_parameters_is_that_of_finite_differences(variant: Variant) -> None:
    latents = variant.build()
    sample = draw(latents, 30)

    def value() -> Tensor:
        return latents.log_prior("joint", sample).sum()

    assert_gradient(latents, value)


@pytest.mark.parametrize(
    "variant", [v for v in LEARNED if v.name in ("anisotropic", "laplace", "mixture", "flow")], ids=str
)
def test_the_draws_gradient_is_that_of_finite_differences(variant: Variant) -> None:
    latents = variant.build()
    noise = latents.prior_noise(10, torch.Generator().manual_seed(0), torch.float64)

    def value() -> Tensor:
        (z,) = latents.prior_sample(noise)
        return (z.square() + z).sum()

    assert_gradient(latents, value)


def assert_gradient(latents: Latents, value) -> None:  # type: ignore[no-untyped-def]
    """Autograd against central differences along one random direction per parameter, and none of it 0."""
    for parameter in parameters_of(latents):
        (gradient,) = torch.autograd.grad(value(), parameter)
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        with torch.no_grad():
            step = 1e-6 * direction
            above = parameter.add_(step) is not None and value()
            below = parameter.sub_(2 * step) is not None and value()
            parameter.add_(step)
        expected = (above - below) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-4, atol=1e-5)


@every
def test_a_prior_says_whether_its_draws_carry_gradients(variant: Variant) -> None:
    latents = variant.build()
    for prior in latents.priors:
        draws = prior.sample(prior.noise(4, torch.Generator().manual_seed(0), torch.float64))
        if prior.learned:
            assert all(z.requires_grad == prior.reparameterised for z in draws)
        else:
            assert not any(z.requires_grad for z in draws)


@learned
def test_noise_of_reparameterised_priors_is_free_of_parameters(variant: Variant) -> None:
    def noise(latents: Latents) -> list[list[Tensor]]:
        return latents.prior_noise(4, torch.Generator().manual_seed(0), torch.float64)

    latents = variant.build()
    before = noise(latents)
    with torch.no_grad():
        for parameter in latents.parameters():
            parameter.add_(0.5)
    for prior, old, new in zip(latents.priors, before, noise(latents), strict=True):
        if prior.reparameterised:
            assert all(map(torch.equal, old, new))


def test_learned_is_what_the_option_says() -> None:
    switched = [name for name in NAMES if "learned" in built(Variant(name, 2)).settings() and name != "flow"]
    assert set(switched) == SWITCHED
    for name in switched:
        for value in (False, True):
            latents = made(name, learned=value)
            assert bool(parameters_of(latents)) is value
            assert latents.settings()["learned"] is value
            assert all(parameter.is_leaf for parameter in latents.parameters())


def test_the_start_does_not_depend_on_whether_it_is_learned() -> None:
    for name in sorted(SWITCHED):
        fixed, trained = (made(name, learned=value).settings() for value in (False, True))
        assert fixed == trained | {"learned": False}


def test_blocks_are_named_after_what_they_are() -> None:
    assert [block.name for block in made("isa", 10).blocks] == [f"subspace_{g}" for g in range(1, 6)]
    assert [block.name for block in made("two_groups").blocks] == ["group_1", "group_2"]
    for name in NAMES:
        latents = made(name)
        if len(latents.blocks) == 1:
            assert latents.blocks[0].name == "z"


def test_the_larger_ones_are_larger() -> None:
    assert all(len(built(variant).factor_names) > 2 for variant in LARGER)
    assert math.isclose(WEIGHT.sum().item(), 2 * Z[-1].item(), rel_tol=0.05)
