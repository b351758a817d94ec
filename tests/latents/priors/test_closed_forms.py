"""Each prior against what others say of it: torch.distributions, scipy, and the papers' formulas written out."""

import math

import pytest
import torch
from engine import a_posterior
from scipy import stats
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from variants import EXAMPLES, draw, made

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.anisotropic import anisotropic

pytestmark = pytest.mark.usefixtures("one_thread")


def points(latents: Latents, count: int = 50) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [2 * torch.randn(count, block.n_code, generator=generator, dtype=torch.float64) for block in latents.blocks]


def joint(latents: Latents, sample: list[Tensor]) -> Tensor:
    return latents.log_prior("joint", sample)


# Two groups


def paired_covariance(size: int, correlation: float) -> Tensor:
    eye = torch.eye(size, dtype=torch.float64)
    return torch.cat([torch.cat([eye, correlation * eye], 1), torch.cat([correlation * eye, eye], 1)])


@pytest.mark.parametrize("correlation", [0.0, 0.7, -0.95])
def test_two_groups_are_jointly_normal(correlation: float) -> None:
    latents = made("two_groups", 3, correlation=correlation).double()
    expected = MultivariateNormal(torch.zeros(6, dtype=torch.float64), paired_covariance(3, correlation))
    sample = points(latents)
    torch.testing.assert_close(joint(latents, sample), expected.log_prob(torch.cat(sample, 1)))
    posterior = a_posterior(latents, 8, seed=0)
    mean, log_scale = (torch.cat(parts, 1) for parts in zip(*(p.chunk(2, 1) for p in posterior), strict=True))
    wanted = kl_divergence(MultivariateNormal(mean, torch.diag_embed((2 * log_scale).exp())), expected)
    pieces = [piece.kl("joint", posterior) for piece in latents.pieces([0, 1])]
    found = sum(each for each in pieces if each is not None)
    torch.testing.assert_close(found, wanted)


def test_correlation_is_what_the_priors_part_of_group_tc_measures() -> None:
    latents = made("two_groups", 4, correlation=0.6).double()
    sample = draw(latents, 100_000)
    part = joint(latents, sample) - latents.log_prior("block", sample).sum(1)
    # The mutual information of four pairs of correlated normal variables.
    assert part.mean().item() == pytest.approx(-4 * 0.5 * math.log(1 - 0.36), rel=0.02)
    torch.testing.assert_close(latents.log_prior("factor", sample).sum(1), latents.log_prior("block", sample).sum(1))


# Anisotropic


def examples_with(values: list[float], count: int, dimensions: int) -> Tensor:
    """Data whose centred singular values are these, the rest 0.01."""
    generator = torch.Generator().manual_seed(7)
    raw = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
    left, _ = torch.linalg.qr(raw - raw.mean(0))
    right, _ = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64))
    spectrum = torch.full((dimensions,), 0.01, dtype=torch.float64)
    spectrum[: len(values)] = torch.tensor(values, dtype=torch.float64)
    return (left * spectrum) @ right.T + 3


def variances_of(examples: Tensor, size: int, **options: object) -> Tensor:
    given: dict[str, object] = {"variances": "pca", "pca_as": "deviations", "scale": 1.0, "learned": False}
    latents = anisotropic(size=size, examples=examples, **(given | options))  # type: ignore[arg-type]
    return torch.tensor(latents.settings()["variances"])


@pytest.mark.parametrize(("pca_as", "power"), [("deviations", 2), ("variances", 1)])
def test_the_largest_singular_values_are_taken(pca_as: str, power: int) -> None:
    data = examples_with([9.0, 5.0, 4.0, 1.0], 60, 8)
    found = variances_of(data, 3, pca_as=pca_as, scale=0.7)
    wanted = torch.tensor([9.0, 5.0, 4.0]) ** power
    torch.testing.assert_close(found, 0.7 * wanted / wanted.mean(), rtol=1e-5, atol=1e-6)


def test_images_are_read_as_networks_read_them() -> None:
    images = torch.randint(256, (40, 1, 5, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    torch.testing.assert_close(variances_of(images, 4), variances_of(images.float() / 255, 4))


def test_many_examples_are_thinned_out_whatever_the_runs_seed() -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(20_500, 3, generator=generator) * torch.tensor([3.0, 2.0, 1.0])
    # Data in an order that tells: the first 20,000 alone would be other data.
    data = data[data[:, 2].argsort()]
    torch.manual_seed(1)
    first = variances_of(data, 3)
    torch.manual_seed(2)
    assert torch.equal(first, variances_of(data, 3))
    full = torch.linalg.svdvals((data - data.mean(0)).double()).float() ** 2
    torch.testing.assert_close(first, full / full.mean(), rtol=0.01, atol=0)


def test_variances_are_in_the_proportions_given_around_their_scale() -> None:
    latents = made("anisotropic", 3, variances=[6, 2, 1], scale=2.0, learned=False)
    assert latents.settings()["variances"] == pytest.approx([4, 4 / 3, 2 / 3])
    sample = points(latents)
    expected = Normal(0, torch.tensor([4, 4 / 3, 2 / 3], dtype=torch.float64).sqrt()).log_prob(sample[0]).sum(1)
    torch.testing.assert_close(joint(latents.double(), sample), expected, rtol=1e-5, atol=1e-5)


def test_training_keeps_the_mean_variance() -> None:
    latents = made("anisotropic", 3, scale=2.0, learned=True)
    with torch.no_grad():
        for parameter in latents.parameters():
            parameter += torch.tensor([3.0, -1.0, 0.2])
    assert torch.tensor(latents.settings()["variances"]).mean().item() == pytest.approx(2)


@pytest.mark.parametrize(
    ("examples", "size", "message"),
    [
        (EXAMPLES, 13, r"50 examples of 12 values have 12 principal components; expected latents=12 or less, not 13"),
        (EXAMPLES[:4], 6, r"4 examples of 12 values have 4"),
        (EXAMPLES[:, :3].repeat(1, 4), 5, r"vary in 3 directions only; expected latents=3 or less, not 5"),
    ],
)
def test_too_few_components_are_refused(examples: Tensor, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        variances_of(examples, size)


# Factorial families


def test_student_t_is_scipys() -> None:
    latents = made("student_t", 2, nu=3.0).double()
    sample = points(latents)
    expected = torch.from_numpy(stats.t(3).logpdf(sample[0].numpy()))
    torch.testing.assert_close(latents.log_prior("factor", sample), expected)


def test_student_t_tends_to_the_normal_distribution() -> None:
    latents = made("student_t", 2, nu=1e6).double()
    sample = points(latents)
    torch.testing.assert_close(joint(latents, sample), Normal(0, 1).log_prob(sample[0]).sum(1), rtol=1e-3, atol=1e-3)


def test_laplace_and_the_generalised_normal_are_scipys() -> None:
    for latents, family in (
        (made("laplace", 2, scale=0.5), stats.laplace(scale=0.5)),
        (made("generalised_normal", 2, exponent=1.5, scale=3.0), stats.gennorm(1.5, scale=3 ** (1 / 1.5))),
    ):
        sample = points(latents)
        expected = torch.from_numpy(family.logpdf(sample[0].numpy()))
        torch.testing.assert_close(latents.double().log_prior("factor", sample), expected)


def test_closed_form_divergences_are_torchs() -> None:
    scales = torch.tensor([1.5, 0.5, 1.0], dtype=torch.float64).sqrt()
    wanted: list[tuple[Latents, Distribution]] = [
        (made("laplace", 3, scale=0.7).double(), Laplace(0, torch.tensor(0.7, dtype=torch.float64))),
        (made("anisotropic", 3, variances=[3, 1, 2], learned=False).double(), Normal(0, scales)),
    ]
    for latents, family in wanted:
        (parameters,) = posterior = a_posterior(latents, 20, seed=0)
        mean, log_scale = parameters.chunk(2, dim=1)
        (piece,) = latents.pieces([0])
        found = piece.kl("factor", posterior)
        assert found is not None
        torch.testing.assert_close(found, kl_divergence(Normal(mean, log_scale.exp()), family), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, -30.0), (5.0, -30.0), (1e4, -10.0), (-3.0, 20.0), (0.0, 0.0)])
def test_laplaces_divergence_is_stable_far_out(mean: float, log_scale: float) -> None:
    latents = made("laplace", 1)
    parameters = torch.tensor([[mean, log_scale]], requires_grad=True)
    (piece,) = latents.pieces([0])
    value = piece.kl("joint", [parameters])
    assert value is not None
    (gradient,) = torch.autograd.grad(value.sum(), parameters)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def test_a_generalised_normal_of_exponent_two_is_the_normal_distribution() -> None:
    latents = made("generalised_normal", 3, exponent=2.0, scale=2.0).double()
    sample = points(latents)
    torch.testing.assert_close(joint(latents, sample), joint(made("normal", 3), sample))


def test_without_its_narrow_part_the_sparse_prior_is_the_normal_one() -> None:
    latents = made("sparse", 3, gamma=0.0)
    sample = points(latents)
    assert torch.equal(joint(latents, sample), joint(made("normal", 3), sample))
    # The narrow part has the weight gamma.
    (z,) = draw(made("sparse", 4, gamma=0.8, sigma=1e-6), 20_000)
    assert (z.abs() < 1e-4).double().mean().item() == pytest.approx(0.8, abs=0.01)


# Mixture


def test_the_mixture_is_torchs_and_so_are_its_marginals() -> None:
    means, weights = [[-1.0, 0.5], [1.0, 1.0], [0.0, -2.0]], [0.2, 0.5, 0.3]
    latents = made("mixture", 2, means=means, variance=0.2, weights=weights).double()
    centres, scale = torch.tensor(means, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64).sqrt()
    shares = Categorical(torch.tensor(weights, dtype=torch.float64))
    sample = points(latents)
    expected = MixtureSameFamily(shares, Independent(Normal(centres, scale), 1)).log_prob(sample[0])
    torch.testing.assert_close(joint(latents, sample), expected, rtol=1e-6, atol=1e-6)
    for d in range(2):
        marginal = MixtureSameFamily(shares, Normal(centres[:, d], scale)).log_prob(sample[0][:, d])
        torch.testing.assert_close(latents.log_prior("factor", sample)[:, d], marginal, rtol=1e-6, atol=1e-6)


def test_the_mixture_in_the_plane_is_that_of_the_pinwheel() -> None:
    assert made("mixture").settings() == {
        "means": [[1, 0], [-1, 0], [0, 1], [0, -1]],
        "variances": [[0.03, 0.03]] * 4,
        "weights": [0.25] * 4,
        "learned": False,
    }
    given = made("mixture", means=[[0, 1], [0, -1], [1, 0], [-1, 0]]).double()
    sample = points(given)
    torch.testing.assert_close(joint(made("mixture").double(), sample), joint(given, sample))


@pytest.mark.parametrize(
    ("size", "components", "radius"), [(1, None, None), (3, None, 2.5), (10, None, None), (4, 5, 0.5)]
)
def test_the_mixtures_means_lie_on_the_axes_as_far_apart_as_they_can(
    size: int, components: int | None, radius: float | None
) -> None:
    count, distance = components or 2 * size, radius or 1.0
    means = torch.tensor(made("mixture", size, components=components, radius=radius).settings()["means"])
    assert means.shape == (count, size)
    torch.testing.assert_close(means.norm(dim=1), torch.full((count,), distance))
    apart = torch.cdist(means, means)[~torch.eye(count, dtype=torch.bool)]
    if count > 1:
        assert apart.min().item() == pytest.approx(distance * math.sqrt(2) if size > 1 else 2 * distance)
    # e_1, −e_1, e_2, −e_2 and so on.
    for c, point in enumerate(means.tolist()):
        assert point[c // 2] == distance * (-1) ** c


def test_with_all_its_axes_the_mixture_has_mean_0_and_equal_variances() -> None:
    """Of every factor, r²/D + σ², by the law of total variance."""
    (z,) = draw(made("mixture", 5, radius=2.0, variance=0.5).double(), 100_000)
    torch.testing.assert_close(z.mean(0), torch.zeros(5).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), (4 / 5 + 0.5) * torch.eye(5).double(), atol=0.03, rtol=0)


def test_a_learned_mixture_is_equation_9_with_a_variance_for_each_component_and_factor() -> None:
    means, weights = torch.tensor([[0.5, -1.0], [2.0, 0.3]]).double(), torch.tensor([0.3, 0.7]).double()
    scales = torch.tensor([[0.2, 1.0], [0.7, 0.4]]).double()
    latents = made("mixture", components=2, weights=[0.3, 0.7], learned=True).double()
    with torch.no_grad():
        for name, parameter in latents.named_parameters():
            parameter.copy_(means if name.endswith("means") else scales.log())
    sample = points(latents)
    expected = MixtureSameFamily(Categorical(weights), Independent(Normal(means, scales), 1))
    torch.testing.assert_close(joint(latents, sample), expected.log_prob(sample[0]), rtol=1e-6, atol=1e-6)
    found = latents.settings()["variances"]
    torch.testing.assert_close(torch.tensor(found), scales.float() ** 2, rtol=1e-6, atol=0)
    (z,) = draw(latents, 100_000)
    torch.testing.assert_close(z.mean(0), weights @ means, atol=0.02, rtol=0)
    assert sorted(name.rsplit(".", 1)[1] for name, _ in latents.named_parameters()) == ["log_scales", "means"]


# Lp-nested


@pytest.mark.parametrize(
    ("name", "options"),
    [("isa", {"subspaces": [2, 3, 1]}), ("lp_nested", {"tree": [1, [2, [2]], [1]]})],
)
def test_exponents_of_two_are_the_normal_distribution(name: str, options: dict[str, object]) -> None:
    latents = made(name, 6, **options, root_exponent=2.0, exponents=2.0, scale=2.0).double()
    sample = points(latents)
    torch.testing.assert_close(joint(latents, sample), joint(made("normal", 6), [torch.cat(sample, 1)]))


def test_exponents_that_are_the_roots_make_the_factors_independent() -> None:
    latents = made("isa", 6, subspaces=3, root_exponent=1.5, exponents=1.5, scale=0.7).double()
    assert latents.finest == "factor"
    sample = points(latents)
    expected = made("generalised_normal", 6, exponent=1.5, scale=0.7).double()
    torch.testing.assert_close(
        latents.log_prior("factor", sample), expected.log_prior("factor", [torch.cat(sample, 1)])
    )
    assert made("isa", 6, subspaces=3, root_exponent=1.5, exponents=1.5, learned=True).finest == "block"


def test_isa_is_the_tree_of_depth_two() -> None:
    exponents = [2.0, 1.4, 3.0]
    isa = made("isa", 7, subspaces=[2, 2, 3], exponents=exponents, scale=0.8)
    tree = made("lp_nested", 7, tree=[[2], [2], [3]], exponents=exponents, scale=0.8)
    sample = points(isa)
    assert [block.name for block in isa.blocks] == [block.name for block in tree.blocks]
    assert torch.equal(isa.log_prior("block", sample), tree.log_prior("block", sample))
    assert isa.settings() == tree.settings()


def test_every_subspace_is_a_prior_of_its_own_with_its_own_exponents() -> None:
    latents = made("isa", 8, subspaces=[1, 2, 2, 3], exponents=[5.0, 1.4, 3.0, 2.5], scale=0.8).double()
    sample = points(latents)
    for g, (size, exponent) in enumerate([(1, 5.0), (2, 1.4), (2, 3.0), (3, 2.5)]):
        alone = made("isa", size, subspaces=size, exponents=exponent, scale=0.8).double()
        torch.testing.assert_close(latents.log_prior("block", sample)[:, g], joint(alone, [sample[g]]))
    nested = made("lp_nested", 8, tree=[[1, [2]], 1, [2, [2]]], exponents=[1.5, 3.0, 2.5, 1.2]).double()
    sample = points(nested)
    for g, (tree, exponents) in {0: ([[1, [2]]], [1.5, 3.0]), 2: ([[2, [2]]], [2.5, 1.2])}.items():
        alone = made("lp_nested", len(nested.blocks[g].factor_names), tree=tree, exponents=exponents).double()
        torch.testing.assert_close(nested.log_prior("block", sample)[:, g], joint(alone, [sample[g]]))


def test_the_report_finds_the_exponents() -> None:
    latents = made("isa", 7, subspaces=[1, 3, 3], exponents=[2.0, 1.4, 3.0], learned=True)
    assert latents.settings() == {"root_exponent": 2.1, "exponents": [2.0, 1.4, 3.0], "scale": 1.0, "learned": True}
    assert len(list(latents.parameters())) == 1


def test_a_subspace_of_one_factor_has_marginals_beside_those_that_have_none() -> None:
    latents = made("isa", 7, subspaces=[1, 3, 3]).double()
    sample = points(latents)
    assert latents.finest == "block"
    assert latents.log_prior("factor", sample, [0]).shape == (50, 1)
    with pytest.raises(ConfigError, match="the prior of subspace_2, subspace_3 has no marginals per factor"):
        latents.log_prior("factor", sample)


def test_equation_6() -> None:
    latents = made("lp_nested", 3, tree=[1, [2]], root_exponent=1.7, exponents=2.6, scale=0.9).double()
    sample = points(latents)
    z1, z2, z3 = torch.cat(sample, 1).abs().unbind(1)
    f = (z1**1.7 + (z2**2.6 + z3**2.6) ** (1.7 / 2.6)) ** (1 / 1.7)
    at_zero = joint(latents, [torch.zeros_like(z) for z in sample])
    torch.testing.assert_close(joint(latents, sample) - at_zero, -(f**1.7) / 0.9, rtol=1e-6, atol=1e-6)


def test_neighbouring_leaves_of_the_root_are_one_block() -> None:
    latents = made("lp_nested", 9, tree=[2, [1, [2]], 1, [3]])
    assert [len(block.factor_names) for block in latents.blocks] == [2, 3, 1, 3]
    assert latents.blocks[1].name == "subspace_2"


@pytest.mark.parametrize(("n", "p", "p0", "s"), [(2, 2.2, 2.1, 1.0), (4, 1.5, 3.0, 0.6), (3, 2.0, 2.0, 2.0)])
def test_the_variance_is_that_of_the_formula(n: int, p: float, p0: float, s: float) -> None:
    latents = made("isa", 2 * n, subspaces=n, root_exponent=p0, exponents=p, scale=s).double()
    radial = s ** (2 / p0) * math.gamma((n + 2) / p0) / math.gamma(n / p0)
    wanted = radial * math.gamma(3 / p) * math.gamma(n / p) / (math.gamma(1 / p) * math.gamma((n + 2) / p))
    z = torch.cat(draw(latents, 100_000), 1)
    torch.testing.assert_close(z.var(0), torch.full((2 * n,), wanted, dtype=torch.float64), rtol=0.03, atol=0)


def test_the_scale_that_the_file_names_gives_variance_one() -> None:
    z = torch.cat(draw(made("isa", 10, scale=2.14).double(), 100_000), 1)
    assert z.var(0).mean().item() == pytest.approx(1, abs=0.01)


# Flow


def test_a_flow_starts_as_the_normal_prior_with_steps_that_differ() -> None:
    latents = made("flow", 3).double()
    sample = points(latents)
    torch.testing.assert_close(joint(latents, sample), joint(made("normal", 3), sample))
    joint(latents, sample).sum().backward()
    gradients = dict(latents.named_parameters())["priors.0.u"].grad
    assert gradients is not None
    assert gradients.shape == (3, 32)
    assert len(gradients.unique()) == gradients.numel()
    settings = latents.settings()
    assert settings["means"] == pytest.approx([0, 0, 0], abs=1e-6)
    assert settings["deviations"] == pytest.approx([1, 1, 1], abs=1e-3)


# Bounds


@pytest.mark.parametrize(
    ("name", "setting", "bound"),
    [
        ("student_t", "nu", 1),
        ("generalised_normal", "exponent", 1),
        ("isa", "exponents", 1),
        ("lp_nested", "exponents", 1),
    ],
)
def test_learned_parameters_stay_where_the_density_is_stable(name: str, setting: str, bound: float) -> None:
    latents = made(name, 4, learned=True)
    sample = [z.float() for z in points(latents)]
    with torch.no_grad():
        for parameter in latents.parameters():
            parameter.fill_(-1e4)
    found = latents.settings()[setting]
    assert min(found if isinstance(found, list) else [found]) >= bound
    assert joint(latents, sample).isfinite().all()
    assert draw(latents, 100, dtype=torch.float32)[0].isfinite().all()
