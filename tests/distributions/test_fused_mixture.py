"""The fused mixture against tables in float64: values, gradients, every weight, many at once, what is not finite."""

import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses import FakeTensorMode

from hfvae_runner import distributions
from hfvae_runner.config.names import Level
from hfvae_runner.distributions import fused_mixture, mixture, normal
from hfvae_runner.distributions.fused_mixture import Categories, Factors, Normals, Product
from hfvae_runner.distributions.mixture import Weights

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


@settings(max_examples=40)
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
    product = Product(blocks, weights)
    for level in LEVELS:
        found, expected = product.log_prob(level), by_tables(exact, level, weights)
        assert_close([found], [expected])
        toward = torch.linspace(-1, 2, expected.numel(), dtype=torch.float64).view_as(expected)
        gradients = torch.autograd.grad((found * toward.float()).sum(), leaves(blocks), retain_graph=True)
        assert_close(gradients, torch.autograd.grad((expected * toward).sum(), leaves(exact)))


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from((1, 2, 3, -2, -5)), min_size=1, max_size=4),
    st.sets(st.sampled_from(LEVELS), min_size=1),
    st.integers(1, 150),
    st.integers(0, 2**31),
)
def test_gradients_of_several_levels_add_up_in_one_pass(
    layout: list[int], levels: set[Level], size: int, seed: int
) -> None:
    """Some samples have no part in a level, and blocks and factors may be asked for one by one."""
    blocks = drawn(layout, size, size, seed)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    exact = doubled(blocks)
    generator = torch.Generator().manual_seed(seed)
    product = Product(blocks, UNEQUAL)
    found, expected = torch.zeros(()), torch.zeros((), dtype=torch.float64)
    for level in sorted(levels):
        value = product.log_prob(level)
        toward = torch.randn(value.shape, generator=generator) * torch.randint(2, value.shape, generator=generator)
        found = found + (value * toward).sum()
        expected = expected + (by_tables(exact, level, UNEQUAL) * toward).sum()
    assert_close(torch.autograd.grad(found, leaves(blocks)), torch.autograd.grad(expected, leaves(exact)), rtol=4e-5)


@pytest.mark.parametrize("layout", [(3,), (2, 3), (1, 2, -3), (-2, -3), (1,)])
@pytest.mark.parametrize("wanted", LEVELS)
def test_a_level_that_nobody_asked_for_changes_nothing(layout: tuple[int, ...], wanted: Level) -> None:
    """The other levels' results are looked at, with gradients of 0, or not at all: the same to the bit."""
    blocks = drawn(layout, 20, 20)
    for leaf in leaves(blocks):
        leaf.requires_grad_()

    def gradients(others: float | None) -> tuple[Tensor, ...]:
        product = Product(blocks, UNEQUAL)
        total = product.log_prob(wanted).square().sum()
        if others is not None:
            total = total + sum(others * product.log_prob(level).sum() for level in LEVELS if level != wanted)
        return torch.autograd.grad(total, leaves(blocks))

    alone = gradients(None)
    assert all(torch.equal(*pair) for pair in zip(gradients(0.0), alone, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(gradients(1.0), alone, strict=True))


def parts(blocks: Sequence[Factors]) -> list[Factors]:
    """The same factors, each a block."""
    return [
        each
        for block in blocks
        for each in (
            [Normals(*columns) for columns in zip(*(leaf.split(1, dim=1) for leaf in leaves([block])), strict=True)]
            if isinstance(block, Normals)
            else [block]
        )
    ]


@pytest.mark.parametrize("layout", [(3,), (2, -3, 1), (1, 1, -2), (-3,)])
def test_blocks_of_one_factor_and_one_block_alone_agree_with_others(layout: tuple[int, ...]) -> None:
    blocks = drawn(layout, 30, 30)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    together, apart = Product(blocks, UNEQUAL), Product(parts(blocks), UNEQUAL)
    assert torch.equal(apart.log_prob("block"), together.log_prob("factor"))
    assert torch.equal(apart.log_prob("factor"), together.log_prob("factor"))
    torch.testing.assert_close(apart.log_prob("joint"), together.log_prob("joint"), rtol=1e-6, atol=1e-6)
    toward = torch.linspace(-1, 2, together.log_prob("factor").numel()).view_as(together.log_prob("factor"))
    of_factors = torch.autograd.grad((together.log_prob("factor") * toward).sum(), leaves(blocks), retain_graph=True)
    of_blocks = torch.autograd.grad((apart.log_prob("block") * toward).sum(), leaves(blocks), retain_graph=True)
    for one, other in zip(of_blocks, of_factors, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    for g in range(len(blocks)):
        alone = Product(blocks[g : g + 1], UNEQUAL)
        assert torch.equal(alone.log_prob("block")[:, 0], alone.log_prob("joint"))
        torch.testing.assert_close(
            alone.log_prob("block")[:, 0], together.log_prob("block")[:, g], rtol=1e-6, atol=1e-6
        )
        for level in ("joint", "block"):
            value = alone.log_prob(level).square().sum()
            found = torch.autograd.grad(value, leaves(blocks[g : g + 1]), retain_graph=True)
            whole = together.log_prob("block")[:, g].square().sum()
            expected = torch.autograd.grad(whole, leaves(blocks[g : g + 1]), retain_graph=True)
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_all_levels_come_from_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fused = fused_mixture._mixture
    monkeypatch.setattr(fused_mixture, "_mixture", lambda *inputs: calls.append(1) or fused(*inputs))
    product = Product(drawn((2, -3), 5, 5), UNEQUAL)
    assert not calls
    for level in (*LEVELS, *LEVELS):
        product.log_prob(level)
    assert len(calls) == 1


@pytest.mark.parametrize(("samples", "components"), [(3, 11), (11, 3), (1, 1), (40, 300)])
def test_samples_and_components_of_other_numbers(samples: int, components: int) -> None:
    blocks = drawn((2, -3), samples, components)
    for level in LEVELS:
        weights = Weights.uniform(-math.log(components))
        assert_close([Product(blocks, weights).log_prob(level)], [by_tables(doubled(blocks), level, weights).detach()])


def test_components_far_apart_lose_neither_value_nor_gradient() -> None:
    blocks = drawn((3, -3), 20, 20, spread=300.0)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    exact = doubled(blocks)
    for level in LEVELS:
        found, expected = Product(blocks, UNEQUAL).log_prob(level), by_tables(exact, level, UNEQUAL)
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
        return Product(blocks, UNEQUAL).log_prob(level)

    for level in LEVELS:
        found = torch.vmap(lambda *inputs, level=level: of_one(level, *inputs))(category, *stacked)
        gradients = torch.autograd.grad(found.square().sum(), stacked)
        for r, blocks in enumerate(many):
            own = [leaf.requires_grad_() for leaf in leaves(blocks)]
            alone = Product(blocks, UNEQUAL).log_prob(level)
            assert torch.equal(found[r], alone)
            for one, other in zip(gradients, torch.autograd.grad(alone.square().sum(), own), strict=True):
                torch.testing.assert_close(one[r], other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("leaf", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_comes_out_as_nan(leaf: int, value: float) -> None:
    blocks = drawn((2, -3), 6, 6)
    leaves(blocks)[leaf][1, 1] = value
    assert all(Product(blocks, UNEQUAL).log_prob(level).isnan().all() for level in LEVELS)


def test_threads_make_no_difference() -> None:
    blocks = drawn((3, -3), 100, 100)
    for leaf in leaves(blocks):
        leaf.requires_grad_()

    def results() -> list[Tensor]:
        product = Product(blocks, UNEQUAL)
        values = [product.log_prob(level) for level in LEVELS]
        total = torch.stack([value.square().sum() for value in values]).sum()
        return [*values, *torch.autograd.grad(total, leaves(blocks))]

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


@pytest.mark.parametrize("installed", [True, False])
def test_a_gpu_has_kernels_where_there_is_triton(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_mixture, "_HAS_TRITON", installed)
    with FakeTensorMode():
        assert fused_mixture.supports(torch.empty(1, device="cuda")) == installed


def test_on_a_gpu_nothing_is_elsewhere_and_nothing_waits() -> None:
    """Tensors without data refuse what lies on two devices, and whatever needs a number."""
    with FakeTensorMode():
        for layout in ((2,), (-3,), (2, -3, 1)):
            blocks = [
                Normals(*(torch.empty(5, size, device="cuda") for _ in range(3)))
                if size > 0
                else Categories(torch.empty(5, dtype=torch.int64, device="cuda"), torch.empty(5, -size, device="cuda"))
                for size in layout
            ]
            product = Product(blocks, UNEQUAL)
            assert all(each.is_cuda for each in (*product._inputs, *map(product.log_prob, LEVELS)))


def test_kernels_for_cuda_are_given_what_those_for_the_cpu_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins that compute by the latter, since these take tensors of the CPU."""

    def totals(given: tuple[Any, ...]) -> tuple[Tensor, ...]:
        z, mean, precision, constant, index, log_probs, blocks, own, following = given
        rest = (index, torch.zeros(len(z)), blocks, 0.0, own, following)
        return fused_mixture._mixture(z, mean, -precision.log(), log_probs, precision, constant, *rest)[1:]

    def gradients(given: tuple[Any, ...], peak: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        z, mean, precision, constant, index, log_probs, blocks, own, following = given
        inputs = (scale, peak, torch.ones_like(scale), z, mean, log_probs, precision, constant, index)
        return fused_mixture._mixture_backward(*inputs, blocks, 0.0, own, following)

    kernels = SimpleNamespace(Mixture=lambda *given: given, mixture=totals, mixture_backward=gradients)
    monkeypatch.setitem(sys.modules, "hfvae_runner.distributions._triton_mixture", kernels)
    monkeypatch.setattr(distributions, "_triton_mixture", kernels, raising=False)
    inputs = (*Product(drawn((2, -3, 1), 5, 5), UNEQUAL)._inputs, [0, 2, 0, 0, 2, 2, 0, 1, 2, 3, 1, 1])
    weights = (UNEQUAL.rest, UNEQUAL.own, UNEQUAL.following)
    expected = fused_mixture._mixture(*inputs, *weights)
    assert_close(fused_mixture._mixture_on_cuda(*inputs, *weights), [each.double() for each in expected])
    z, mean, _, log_probs, precision, constant, index, _, blocks = inputs
    of_all = (torch.randn(expected[0].shape), *expected[1:], z, mean, log_probs, precision, constant, index, blocks)
    found = fused_mixture._mixture_backward_on_cuda(*of_all, *weights)
    assert_close(found, [each.double() for each in fused_mixture._mixture_backward(*of_all, *weights)])


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's check
def test_torch_finds_the_operators_sound() -> None:
    """Schema, shapes without data, and the gradient, as torch's own check of operators sees them."""
    blocks = drawn((2, -3), 5, 5)
    for leaf in leaves(blocks):
        leaf.requires_grad_()
    product = Product(blocks, UNEQUAL)
    torch.library.opcheck(fused_mixture._mixture, (*product._inputs, product._blocks, -1.0, -2.0, -1.0))


def test_weights_of_a_part_of_the_samples() -> None:
    whole = UNEQUAL.table(5, 5, like=torch.zeros(1))
    assert torch.equal(torch.cat([UNEQUAL.table(2, 5, like=whole), UNEQUAL.table(3, 5, first=2, like=whole)]), whole)
    assert whole[0].tolist() == [-2.5, 0.5, -1.0, -1.0, -1.0]
    assert mixture.Weights.uniform(-3.0).table(2, 3, like=whole).tolist() == [[-3.0] * 3] * 2


@pytest.mark.slow
def test_memory_does_not_grow_with_pairs() -> None:
    """4,096 samples under 16,384 components of ten factors: one table alone would take 268 MB, all of them 2.7 GB."""
    program = """
import resource, torch
from hfvae_runner.distributions.fused_mixture import Normals, Product
from hfvae_runner.distributions.mixture import Weights
parts = [torch.randn(16384, 10).requires_grad_() for _ in range(3)]
small = [part[:64] for part in parts]
Product([Normals(*small)], Weights.uniform(0.0)).log_prob("factor").sum().backward()  # compiles
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Product([Normals(parts[0][:4096], *parts[1:])], Weights.uniform(0.0)).log_prob("factor").sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) < 200_000, "kB"
