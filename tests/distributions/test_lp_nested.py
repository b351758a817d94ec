import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from hfvae_runner.distributions import generalised_normal, lp_nested, normal
from hfvae_runner.distributions.lp_nested import Layout, Tree
from hfvae_runner.errors import ConfigError

LAYOUTS: list[Layout] = [
    [1],
    [2],
    [1, [2]],
    [[2], 1, [3]],
    [[2], [2], [2]],
    [[1], [4]],
    [[[2], [2]], [[2], [2]], 2],
    [1, [1, [1, [2]]]],
]


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def exponents_of(tree: Tree, seed: int = 0) -> Tensor:
    uniform = torch.rand(tree.n_inner, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 1.2 + 2 * uniform


def points(n_points: int, tree: Tree, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_points, tree.n_leaves, generator=generator, dtype=torch.float64)


def by_hand(layout: Layout, z: list[float], exponents: list[float]) -> tuple[float, float, int]:
    """f(z), log S_f(1) by Eq. 8 with its Beta functions, and the leaves; z and exponents are used up from the front."""
    p = exponents.pop(0)
    values, surface, sizes = [], 0.0, []
    for entry in layout:
        if isinstance(entry, int):
            values += [abs(z.pop(0)) for _ in range(entry)]
            sizes += [1] * entry
        else:
            value, below, size = by_hand(entry, z, exponents)
            values.append(value)
            sizes.append(size)
            surface += below - size * math.log(2)
    surface += sum(sizes) * math.log(2) - (len(sizes) - 1) * math.log(p)
    for k in range(1, len(sizes)):
        surface += math.log(scipy.special.beta(sum(sizes[:k]) / p, sizes[k] / p))
    return sum(value**p for value in values) ** (1 / p), surface, sum(sizes)


def orthant(n: int, per_axis: int, reach: float) -> tuple[Tensor, Tensor]:
    """Quadrature over all of space of a function that is even in each coordinate: points [m, n], weights [m]."""
    nodes, weights = np.polynomial.legendre.leggauss(per_axis)
    # Denser towards the axes, where an Lp-nested function is not smooth.
    t = 0.5 * (nodes + 1)
    z, weights = reach * t**4, 0.5 * weights * reach * 4 * t**3
    grid = torch.cartesian_prod(*[torch.from_numpy(z)] * n).reshape(-1, n)
    return grid, 2**n * torch.cartesian_prod(*[torch.from_numpy(weights)] * n).reshape(-1, n).prod(1)


def pvalue_under(values: Tensor, distribution: scipy.stats.rv_continuous) -> float:
    return float(scipy.stats.kstest(values.numpy(), distribution.cdf).pvalue)


def beta_cdf(n_part: int, n_whole: int, power: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: scipy.special.betainc(n_part / power, (n_whole - n_part) / power, x)


def draws(layout: Layout, exponents: Tensor, p0: float, scale: float, *, n: int = 100_000, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return lp_nested.draw(lp_nested.parse(layout), exponents, tensor(p0)[0], scale, n, generator, torch.float64)


def test_parse_counts_and_keeps_the_order() -> None:
    tree = lp_nested.parse([1, [2], [2], [1, [3]], 2])
    assert (tree.n_leaves, tree.n_inner) == (11, 5)
    assert [child.n_leaves for child in tree.children] == [1, 2, 2, 4, 1, 1]
    assert [child.is_leaf for child in tree.children] == [True, False, False, False, True, True]
    assert [number for number, _ in tree.runs] == [1, 2, 1, 2]
    assert tree == lp_nested.parse((1, (1, 1), [2], [1, [3]], 1, 1))
    assert hash(tree) == hash(lp_nested.parse([1, [2], [2], [1, [3]], 2]))


@pytest.mark.parametrize("layout", [[], [1, []], [0], [-2], [2.0], [True], ["2"], "[1, [2]]", 3, None, [1, None]])
def test_a_layout_that_is_none_is_refused(layout: Layout) -> None:
    with pytest.raises(ConfigError, match=r"layout has .*; expected a list of leaf counts"):
        lp_nested.parse(layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_value_and_surface_by_hand(layout: Layout) -> None:
    tree = lp_nested.parse(layout)
    exponents, z = exponents_of(tree), points(7, tree)
    expected = [by_hand(layout, row, exponents.tolist()) for row in z.tolist()]
    torch.testing.assert_close(lp_nested.value(tree, z, exponents), tensor(*[value for value, _, _ in expected]))
    assert lp_nested.log_surface(tree, exponents).item() == pytest.approx(expected[0][1], rel=1e-10)
    assert expected[0][2] == tree.n_leaves


def test_the_example_of_equation_6() -> None:
    z, exponents = tensor(-1.5, 0.5, 2), tensor(1.3, 2.7)
    expected = (1.5**1.3 + (0.5**2.7 + 2**2.7) ** (1.3 / 2.7)) ** (1 / 1.3)
    assert lp_nested.value(lp_nested.parse([1, [2]]), z[None], exponents).item() == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_the_surface_of_the_euclidean_sphere(n: int) -> None:
    expected = math.log(2) + n / 2 * math.log(math.pi) - math.lgamma(n / 2)
    assert lp_nested.log_surface(lp_nested.parse([n]), tensor(2)).item() == pytest.approx(expected)


@pytest.mark.parametrize("factor", [1e-150, 1e-5, 1e5, 1e150])
def test_value_is_homogeneous_where_powers_leave_the_range(factor: float) -> None:
    tree = lp_nested.parse([1, [2, [2]]])
    exponents, z = tensor(9, 2.5, 30), points(5, tree)
    z.requires_grad_()
    value, scaled = lp_nested.value(tree, z, exponents), lp_nested.value(tree, factor * z, exponents)
    torch.testing.assert_close(scaled / factor, value)
    gradient, of_scaled = (torch.autograd.grad(each.sum(), z)[0] for each in (value, scaled))
    torch.testing.assert_close(of_scaled / factor, gradient)


@pytest.mark.parametrize("layout", [[2], [[1], [1]], [[2]], [1, [1]]])
@pytest.mark.parametrize("powers", [(1.0, 3.0, 1.6), (2.1, 1.3, 9.0), (4.0, 2.2, 2.2)])
@pytest.mark.parametrize("p0", [None, 1.5])
def test_densities_in_the_plane_integrate_to_one(layout: Layout, powers: tuple[float, ...], p0: float | None) -> None:
    tree, exponents = lp_nested.parse(layout), tensor(*powers)
    exponents = exponents[: tree.n_inner]
    radial = exponents[0] if p0 is None else tensor(p0)[0]
    z, weights = orthant(2, 200, 45)
    mass = (lp_nested.log_prob(tree, z, exponents, radial, 1.4).exp() * weights).sum()
    assert mass.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("layout", [[3], [1, [2]], [[2], 1], [[2], [1]], [[1, [2]]], [[1, [1]], 1]])
@pytest.mark.parametrize("powers", [(2.1, 1.3, 2.7), (1.4, 5.0, 2.2)])
@pytest.mark.parametrize("p0", [None, 1.7])
def test_densities_in_space_integrate_to_one(layout: Layout, powers: tuple[float, ...], p0: float | None) -> None:
    tree, exponents = lp_nested.parse(layout), tensor(*powers)
    exponents = exponents[: tree.n_inner]
    radial = exponents[0] if p0 is None else tensor(p0)[0]
    z, weights = orthant(3, 48, 14)
    mass = (lp_nested.log_prob(tree, z, exponents, radial, 0.8).exp() * weights).sum()
    assert mass.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_all_exponents_2_are_the_normal_distribution_of_variance_half_the_scale(layout: Layout, scale: float) -> None:
    tree = lp_nested.parse(layout)
    exponents, z = torch.full((tree.n_inner,), 2.0).double(), points(5, tree)
    expected = normal.log_prob(z, tensor(0), tensor(0.5 * math.log(scale / 2))).sum(1)
    torch.testing.assert_close(lp_nested.log_prob(tree, z, exponents, exponents[0], scale), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("p", [0.8, 1.3, 7.0])
def test_equal_exponents_are_the_factorial_generalised_normal(layout: Layout, p: float) -> None:
    tree = lp_nested.parse(layout)
    exponents, z = torch.full((tree.n_inner,), p).double(), points(5, tree)
    expected = generalised_normal.log_prob(z, tensor(p), 1.6).sum(1)
    torch.testing.assert_close(lp_nested.log_prob(tree, z, exponents, exponents[0], 1.6), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_in_z_and_in_every_exponent(layout: Layout) -> None:
    tree = lp_nested.parse(layout)
    inputs = [points(3, tree, 1).requires_grad_(), exponents_of(tree, 1).requires_grad_()]
    radial = tensor(1.9).squeeze().requires_grad_()
    assert torch.autograd.gradcheck(lambda z, p: lp_nested.value(tree, z, p), inputs)
    assert torch.autograd.gradcheck(lambda p: lp_nested.log_surface(tree, p), inputs[1:])
    assert torch.autograd.gradcheck(lambda z, p, p0: lp_nested.log_prob(tree, z, p, p0, 1.3), [*inputs, radial])
    assert torch.autograd.gradcheck(lambda z, p: lp_nested.log_prob_children(tree, z, p, 1.3), inputs)


@pytest.mark.parametrize("p", [0.7, 1.0, 1.8, 2.0, 6.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_on_the_axes_and_at_zero(p: float, dtype: torch.dtype) -> None:
    tree = lp_nested.parse([1, [2], [[2]]])
    z = torch.zeros(3, 5, dtype=dtype)
    z[1, 1], z[2] = 1, 1e-30
    exponents = torch.full((tree.n_inner,), p, dtype=dtype).requires_grad_()
    # In this mode a NaN anywhere on the way back is an error, also one that is masked later.
    with torch.autograd.set_detect_anomaly(True):
        found = lp_nested.log_prob(tree, z.requires_grad_(), exponents, exponents[0], 1.0)
        in_z, in_exponents = torch.autograd.grad(found.sum(), (z, exponents))
    assert found.dtype == dtype
    assert found.isfinite().all()
    assert in_exponents.isfinite().all()
    assert in_z.isfinite().all()
    assert in_z[0].tolist() == [0] * 5
    assert in_z[1, 1].item() == pytest.approx(-p, rel=1e-5)


def test_a_broken_value_is_not_hidden() -> None:
    z = torch.tensor([[0.0, math.nan, 1]])
    assert lp_nested.log_prob(lp_nested.parse([1, [2]]), z, torch.ones(2), torch.tensor(2.0), 1.0).isnan().all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_joint_is_the_sum_over_the_roots_children(layout: Layout) -> None:
    tree = lp_nested.parse(layout)
    exponents, z = exponents_of(tree), points(5, tree)
    children = lp_nested.log_prob_children(tree, z, exponents, 1.3)
    assert children.shape == (5, len(tree.children))
    joint = lp_nested.log_prob(tree, z, exponents, exponents[0], 1.3)
    torch.testing.assert_close(children.sum(1), joint)
    start, first = 0, 1
    for found, child in zip(children.T, tree.children, strict=True):
        share, own = z[:, start : start + child.n_leaves], exponents[first : first + child.n_inner]
        torch.testing.assert_close(found, lp_nested.log_prob(child, share, own, exponents[0], 1.3))
        start, first = start + child.n_leaves, first + child.n_inner


def test_a_childs_density_is_the_joints_marginal_and_the_closed_form() -> None:
    tree, exponents, scale = lp_nested.parse([[2], 1]), tensor(2.1, 1.4), 1.2
    z = tensor(0.3, -1.1)
    other, weights = orthant(1, 200, 20)
    both = torch.cat([z.expand(len(other), 2), other], dim=1)
    marginal = (lp_nested.log_prob(tree, both, exponents, exponents[0], scale).exp() * weights).sum().log()
    found = lp_nested.log_prob_children(tree, both[:1], exponents, scale)[0, 0]
    assert found.item() == pytest.approx(marginal.item(), abs=1e-6)
    p0, p, n = 2.1, 1.4, 2
    surface = n * math.log(2) + n * math.lgamma(1 / p) - (n - 1) * math.log(p) - math.lgamma(n / p)
    v = (0.3**p + 1.1**p) ** (1 / p)
    closed = math.log(p0) - math.lgamma(n / p0) - n / p0 * math.log(scale) - v**p0 / scale - surface
    assert found.item() == pytest.approx(closed)


def test_radii_of_the_subspaces_are_independent_under_the_roots_exponent_only() -> None:
    exponents = tensor(2.1, 1.3, 3.0)
    bound = 4 / math.sqrt(100_000)
    for p0, independent in ((2.1, True), (1.9, False)):
        z = draws([[2], [2]], exponents, p0, 1.0)
        radii = torch.stack([z[:, :2].norm(1.3, dim=1), z[:, 2:].norm(3.0, dim=1)])
        correlation = torch.corrcoef(radii**2.1)[0, 1].abs().item()
        assert (correlation < bound) == independent


@pytest.mark.parametrize("p0", [1.2, 2.1, 4.0])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_radii_follow_their_density(p0: float, scale: float) -> None:
    tree, exponents = lp_nested.parse([1, [2], [2]]), tensor(1.7, 2.4, 1.1)
    radius = lp_nested.value(tree, draws([1, [2], [2]], exponents, p0, scale), exponents)
    assert pvalue_under(radius**p0 / scale, scipy.stats.gamma(5 / p0)) > 1e-3
    wrong = 1.05 * p0
    assert pvalue_under(radius**wrong / scale, scipy.stats.gamma(5 / wrong)) < 1e-6


@pytest.mark.parametrize("p", [1.2, 2.0])
@pytest.mark.parametrize("p0", [1.5, 2.1])
def test_angles_follow_the_density(p: float, p0: float) -> None:
    """The angle's distribution by integrating the density over the radius: nothing of the sampler is in it."""
    z = draws([2], tensor(p), p0, 1.0)
    found = torch.atan2(z[:, 1].abs(), z[:, 0].abs()).numpy()
    angle, radius = torch.linspace(0, math.pi / 2, 801).double(), torch.linspace(0, 12, 1001).double()

    def pvalue(power: float) -> float:
        polar = torch.cartesian_prod(angle, radius)
        plane = torch.stack([polar[:, 1] * polar[:, 0].cos(), polar[:, 1] * polar[:, 0].sin()], dim=1)
        log_prob = lp_nested.log_prob(lp_nested.parse([2]), plane, tensor(power), tensor(p0)[0], 1.0)
        density = (4 * log_prob.exp() * polar[:, 1]).reshape(len(angle), -1)
        cdf = torch.cumulative_trapezoid(torch.trapezoid(density, radius, dim=1), angle)
        assert cdf[-1].item() == pytest.approx(1, abs=1e-4)
        return float(scipy.stats.kstest(found, lambda x: np.interp(x, angle[1:], cdf)).pvalue)

    assert pvalue(p) > 1e-3
    assert pvalue(1.12 * p) < 1e-6


def test_directions_at_every_node_are_dirichlet() -> None:
    layout: Layout = [1, [2, [3]], [2], [2]]
    p = tensor(2.1, 1.4, 3.0, 1.1, 2.6)
    z = draws(layout, p, 2.1, 1.0)
    first, deep, third, fourth = z[:, 1:3], z[:, 3:6], z[:, 6:8], z[:, 8:10]
    inner = deep.norm(3.0, dim=1)
    second = torch.cat([first, inner[:, None]], dim=1).norm(1.4, dim=1)
    children = torch.stack([z[:, 0].abs(), second, third.norm(1.1, dim=1), fourth.norm(2.6, dim=1)], dim=1)
    cases = [
        (children[:, 1], children, 2.1, 5, 10),
        (children[:, 3], children, 2.1, 2, 10),
        (inner, torch.cat([first.abs(), inner[:, None]], dim=1), 1.4, 3, 5),
        (deep[:, 1].abs(), deep.abs(), 3.0, 1, 3),
        (third[:, 0].abs(), third.abs(), 1.1, 1, 2),
        (fourth[:, 0].abs(), fourth.abs(), 2.6, 1, 2),
    ]
    for part, whole, power, n_part, n_whole in cases:
        share = (part**power / (whole**power).sum(1)).numpy()
        assert scipy.stats.kstest(share, beta_cdf(n_part, n_whole, power)).pvalue > 1e-3
        assert scipy.stats.kstest(share, beta_cdf(n_part, n_whole, 1.1 * power)).pvalue < 1e-6
    assert (z.sign().mean(0).abs() < 4 / math.sqrt(len(z))).all()
    assert (torch.corrcoef(z.sign().T).fill_diagonal_(0).abs() < 4.5 / math.sqrt(len(z))).all()


@pytest.mark.parametrize(("layout", "p0"), list(product([[3], [1, [2]], [[2], [1]]], [1.7, 2.1])))
def test_moments_of_samples_are_those_of_the_density(layout: Layout, p0: float) -> None:
    tree, exponents = lp_nested.parse(layout), tensor(2.1, 1.3, 1.8)
    exponents = exponents[: tree.n_inner]
    grid, weights = orthant(3, 48, 14)
    weights = weights * lp_nested.log_prob(tree, grid, exponents, tensor(p0)[0], 0.8).exp()
    z = draws(layout, exponents, p0, 0.8)
    for j, k in product(range(3), repeat=2):
        sampled = (z[:, j] * z[:, k]).abs()
        expected = (weights * (grid[:, j] * grid[:, k]).abs()).sum().item()
        assert abs(sampled.mean().item() - expected) < 4.5 * sampled.std().item() / math.sqrt(len(z))


def test_samples_carry_the_gradient_of_an_expectation() -> None:
    tree, exponents = lp_nested.parse([1, [2]]), tensor(2.1, 1.4).requires_grad_()
    p0 = tensor(1.8).squeeze().requires_grad_()
    grid, weights = orthant(3, 40, 12)
    density = lp_nested.log_prob(tree, grid, exponents, p0, 0.8).exp() * weights
    z = lp_nested.draw(tree, exponents, p0, 0.8, 200_000, torch.Generator().manual_seed(3), torch.float64)
    for j in (0, 1):
        expected = torch.autograd.grad((density * grid[:, j].square()).sum(), (exponents, p0), retain_graph=True)
        found = torch.autograd.grad(z[:, j].square().mean(), (exponents, p0), retain_graph=True)
        torch.testing.assert_close(
            torch.cat([*map(torch.atleast_1d, found)]),
            torch.cat([*map(torch.atleast_1d, expected)]),
            rtol=0.05,
            atol=3e-3,
        )


def test_draws_in_single_precision_repeat_with_their_seed_and_stay_finite() -> None:
    tree = lp_nested.parse([[4]] * 5)
    exponents = torch.tensor([2.1, 60, 0.5, 1, 2, 9])
    first, again = (
        lp_nested.draw(tree, exponents, exponents[0], 1.0, 1000, torch.Generator().manual_seed(1), torch.float32)
        for _ in range(2)
    )
    assert first.shape == (1000, 20)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert first.isfinite().all()
    assert (first[:, :4].abs() > 0).all()
