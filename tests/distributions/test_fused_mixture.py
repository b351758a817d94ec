"""The fused mixture against tables in float64: values, gradients, every weight, many at once, what is not finite."""

import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.distributions import fused_mixture, mixture, normal
from hfvae_runner.distributions.fused_mixture import Categories, Factors, Normals, Product
from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.vocabulary import Level

LEVELS: tuple[Level, ...] = ("joint", "block", "factor")
UNEQUAL = Weights(rest=-1.0, own=-2.5, following=0.5)


def drawn(layout: Sequence[int], samples: int, components: int, seed: int = 0, spread: float = 1.0) -> list[Factors]:
    """Blocks of so many normals, or of one variable over so many categories where the number is negative; float32."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return spread * torch.randn(shape, generator=generator)

    return [
        Normals(random(samples, size), random(components, size), random(components, size).clamp(-2, 2) / 2)
        if size > 0
        else Categories(
            torch.randint(-size, (samples,), generator=generator), torch.log_softmax(random(components, -size), 1)
        )
        for size in layout
    ]


def tables(block: Factors) -> list[Tensor]:
    """One [S, M] for each factor."""
    if isinstance(block, Categories):
        return [block.log_probs.T[block.category]]
    columns = zip(block.sample.T, block.mean.T, block.log_scale.T, strict=True)
    return [normal.log_prob(z[:, None], mean, log_scale) for z, mean, log_scale in columns]


def by_tables(blocks: Sequence[Factors], level: Level, weights: Weights) -> Tensor:
    each = [tables(block) for block in blocks]
    match level:
        case "joint":
            groups = [list(chain(*each))]
        case "block":
            groups = each
        case "factor":
            groups = [[table] for block in each for table in block]
    added = [torch.stack(group).sum(0) for group in groups]
    columns = [torch.logsumexp(table + weights.table(*table.shape, like=table), dim=1) for table in added]
    return columns[0] if level == "joint" else torch.stack(columns, dim=1)


def leaves(blocks: Sequence[Factors]) -> list[Tensor]:
    return [
        leaf
        for block in blocks
        for leaf in ((block.sample, block.mean, block.log_scale) if isinstance(block, Normals) else (block.log_probs,))
    ]


def doubled(blocks: Sequence[Factors]) -> list[Factors]:
    def again(leaf: Tensor) -> Tensor:
        return leaf.detach().double().requires_grad_()

    return [
        Normals(again(block.sample), again(block.mean), again(block.log_scale))
        if isinstance(block, Normals)
        else Categories(block.category, again(block.log_probs))
        for block in blocks
    ]


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor], rtol: float = 2e-5) -> None:
    for one, other in zip(found, expected, strict=True):
        # Of gradients that are sums of many, the largest says how exact the others can be.
        atol = rtol * max(1.0, other.abs().max().item())
        torch.testing.assert_close(one.double(), other, rtol=rtol, atol=atol)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from((1, 2, 3, -2, -5)), min_size=1, max_size=4),
    st.integers(1, 70),
    st.sampled_from((UNEQUAL, Weights.uniform(-0.3), Weights(rest=-3.0, own=0.0, following=-3.0))),
    st.integers(0, 2**31),
)
def test_values_and_gradients_are_those_of_the_tables(
    layout: list[int], size: int, weights: Weights, seed: int
) -> None:
    blocks = drawn(layout, size, size, seed)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    exact = doubled(blocks)
    product = Product(blocks)
    for level in LEVELS:
        found, expected = product.log_prob(level, weights), by_tables(exact, level, weights)
        assert_close([found], [expected])
        toward = torch.linspace(-1, 2, expected.numel(), dtype=torch.float64).view_as(expected)
        gradients = torch.autograd.grad((found * toward.float()).sum(), leaves(blocks), retain_graph=True)
        assert_close(gradients, torch.autograd.grad((expected * toward).sum(), leaves(exact)))


@pytest.mark.parametrize(("samples", "components"), [(3, 11), (11, 3), (1, 1), (40, 300)])
def test_samples_and_components_of_other_numbers(samples: int, components: int) -> None:
    blocks = drawn((2, -3), samples, components)
    for level in LEVELS:
        weights = Weights.uniform(-math.log(components))
        assert_close([Product(blocks).log_prob(level, weights)], [by_tables(doubled(blocks), level, weights).detach()])


def test_components_far_apart_lose_neither_value_nor_gradient() -> None:
    blocks = drawn((3, -3), 20, 20, spread=300.0)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    exact = doubled(blocks)
    for level in LEVELS:
        found, expected = Product(blocks).log_prob(level, UNEQUAL), by_tables(exact, level, UNEQUAL)
        assert_close([found], [expected])
        gradients = torch.autograd.grad(found.sum(), leaves(blocks))
        # A weight exp(a − b) of numbers near 1e5 is known to 1e-2.
        assert_close(gradients, torch.autograd.grad(expected.sum(), leaves(exact)), rtol=2e-2)


def test_many_at_once_are_each_by_itself() -> None:
    many = [drawn((2, -4, 1), 9, 9, seed) for seed in range(5)]
    stacked = [torch.stack(each).requires_grad_() for each in zip(*map(leaves, many), strict=True)]
    category = torch.stack([blocks[1].category for blocks in many if isinstance(blocks[1], Categories)])

    def of_one(level: Level, category: Tensor, *parts: Tensor) -> Tensor:
        blocks = [Normals(*parts[:3]), Categories(category, parts[3]), Normals(*parts[4:])]
        return Product(blocks).log_prob(level, UNEQUAL)

    for level in LEVELS:
        found = torch.vmap(lambda *inputs, level=level: of_one(level, *inputs))(category, *stacked)
        gradients = torch.autograd.grad(found.square().sum(), stacked)
        for r, blocks in enumerate(many):
            own = [leaf.requires_grad_() for leaf in leaves(blocks)]
            alone = Product(blocks).log_prob(level, UNEQUAL)
            assert torch.equal(found[r], alone)
            for one, other in zip(gradients, torch.autograd.grad(alone.square().sum(), own), strict=True):
                torch.testing.assert_close(one[r], other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("leaf", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_comes_out_as_nan(leaf: int, value: float) -> None:
    blocks = drawn((2, -3), 6, 6)
    leaves(blocks)[leaf][1, 1] = value
    assert Product(blocks).log_prob("joint", UNEQUAL).isnan().all()


def test_threads_make_no_difference() -> None:
    blocks = drawn((3, -3), 100, 100)
    for leaf in leaves(blocks):
        leaf.requires_grad_()

    def results() -> list[Tensor]:
        value = Product(blocks).log_prob("factor", UNEQUAL)
        return [value, *torch.autograd.grad(value.square().sum(), leaves(blocks))]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = results()
        torch.set_num_threads(2)
        assert all(torch.equal(*pair) for pair in zip(alone, results(), strict=True))
    finally:
        torch.set_num_threads(before)


def test_what_has_no_kernel_is_known() -> None:
    assert fused_mixture.supports(torch.zeros(1))
    assert not fused_mixture.supports(torch.zeros(1, dtype=torch.float64))
    assert not fused_mixture.supports(torch.zeros(1, device="meta"))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's check
def test_torch_finds_the_operators_sound() -> None:
    """Schema, shapes without data, and the gradient, as torch's own check of operators sees them."""
    blocks = drawn((2, -3), 5, 5)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    product = Product(blocks)
    torch.library.opcheck(fused_mixture._mixture, (*product._inputs, product._spans["block"], -1.0, -2.0, -1.0))


def test_weights_of_a_part_of_the_samples() -> None:
    whole = UNEQUAL.table(5, 5, like=torch.zeros(1))
    assert torch.equal(torch.cat([UNEQUAL.table(2, 5, like=whole), UNEQUAL.table(3, 5, first=2, like=whole)]), whole)
    assert whole[0].tolist() == [-2.5, 0.5, -1.0, -1.0, -1.0]
    assert mixture.Weights.uniform(-3.0).table(2, 3, like=whole).tolist() == [[-3.0] * 3] * 2


def test_memory_does_not_grow_with_pairs() -> None:
    """16,384 samples and components of ten factors: one table alone would take 1 GB, all of them 10."""
    program = """
import resource, torch
from hfvae_runner.distributions.fused_mixture import Normals, Product
from hfvae_runner.distributions.mixture import Weights
parts = [torch.randn(16384, 10).requires_grad_() for _ in range(3)]
small = [part[:64] for part in parts]
Product([Normals(*small)]).log_prob("factor", Weights.uniform(0.0)).sum().backward()  # compiles
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Product([Normals(*parts)]).log_prob("factor", Weights.uniform(0.0)).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) < 500_000, "kB"
