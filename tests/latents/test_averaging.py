"""The averages against closed forms, the choice of what is shared against loops, and gradients that must be zero."""

import math
from itertools import pairwise
from typing import get_args

import pytest
import torch
from engine import DENSITIES, blocks, seeds
from hypothesis import given, settings
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence

from hfvae_runner.config.names import Average, Distance
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.averaging import Averaging
from hfvae_runner.latents.blocks import NormalBlock, Posterior
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import StandardNormal

PAIRS = 5
LAYOUTS = ((4,), (-3, -2), (3, -3), (2, 1), (1, -2, 2, -3))
AVERAGES: tuple[Average, ...] = get_args(Average)
DISTANCES: tuple[Distance, ...] = get_args(Distance)


def a_batch(latents: Latents, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2 * PAIRS, block.n_parameters, generator=generator, dtype=torch.float64) for block in latents.blocks
    ]


def distributions(latents: Latents, posterior: Posterior, row: int) -> list[Normal | Categorical]:
    """Of every factor of one example."""
    found: list[Normal | Categorical] = []
    for block, parameters in zip(latents.blocks, posterior, strict=True):
        if isinstance(block, NormalBlock):
            found += [Normal(mean, log.exp()) for mean, log in zip(*parameters[row].chunk(2), strict=True)]
        else:
            found.append(Categorical(logits=parameters[row]))
    return found


def naive_shared(latents: Latents, posterior: Posterior, distance: Distance) -> list[list[bool]]:
    table = []
    for pair in range(PAIRS):
        one, other = (distributions(latents, posterior, row) for row in (pair, PAIRS + pair))
        deltas = [kl_divergence(p, q).item() for p, q in zip(one, other, strict=True)]
        if distance == "symmetric":
            backwards = [kl_divergence(q, p).item() for p, q in zip(one, other, strict=True)]
            deltas = [(there + back) / 2 for there, back in zip(deltas, backwards, strict=True)]
        table.append([delta < (max(deltas) + min(deltas)) / 2 for delta in deltas])
    return table


def average_of(one: Normal | Categorical, other: Normal | Categorical, how: Average) -> Normal | Categorical:
    if isinstance(one, Categorical):
        assert isinstance(other, Categorical)
        probs = (one.probs + other.probs) / 2 if how == "mean" else one.probs * other.probs
        return Categorical(probs=probs / probs.sum())
    assert isinstance(other, Normal)
    if how == "mean":
        return Normal((one.mean + other.mean) / 2, ((one.variance + other.variance) / 2).sqrt())
    precision = 1 / one.variance + 1 / other.variance
    return Normal((one.mean / one.variance + other.mean / other.variance) / precision, precision.rsqrt())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("how", AVERAGES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_shared_latents_are_averaged_and_the_others_left(
    layout: tuple[int, ...], how: Average, distance: Distance
) -> None:
    latents = blocks(*layout)
    posterior = a_batch(latents)
    averaged, shared = Averaging(latents, how, distance)(posterior)
    assert shared.tolist() == naive_shared(latents, posterior, distance)
    for pair in range(PAIRS):
        rows = (pair, PAIRS + pair)
        before, after = ([distributions(latents, each, row) for row in rows] for each in (posterior, averaged))
        for d, is_shared in enumerate(shared[pair].tolist()):
            for side in range(2):
                expected = average_of(before[0][d], before[1][d], how) if is_shared else before[side][d]
                found = after[side][d]
                if isinstance(found, Normal):
                    torch.testing.assert_close((found.mean, found.stddev), (expected.mean, expected.stddev))
                else:
                    assert isinstance(expected, Categorical)
                    torch.testing.assert_close(found.probs, expected.probs)


def test_the_product_is_the_product_of_the_densities() -> None:
    """log q₁(z) + log q₂(z) − log q(z) is the same at every z."""
    latents = blocks(2)
    posterior = [torch.tensor([[0.3, 5.0, -0.4, 0.2], [-0.5, -5.0, 0.7, -0.1]], dtype=torch.float64)]
    averaged, shared = Averaging(latents, "product", "kl")(posterior)
    assert shared.tolist() == [[True, False]]
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    one, other, product = (
        distributions(latents, each, row)[0].log_prob(z)
        for each, row in ((posterior, 0), (posterior, 1), (averaged, 0))
    )
    constants = (one + other - product).tolist()
    assert constants == pytest.approx([constants[0]] * 7)


def test_the_product_of_equal_densities_has_half_the_variance() -> None:
    posterior = [torch.tensor([[0.3, 5.0, -0.4, 0.2], [0.3, -5.0, -0.4, -0.1]], dtype=torch.float64)]
    (averaged,), shared = Averaging(blocks(2), "product", "kl")(posterior)
    assert shared.tolist() == [[True, False]]
    assert averaged[:, 0].tolist() == pytest.approx([0.3, 0.3])
    assert averaged[:, 2].tolist() == pytest.approx([-0.4 - math.log(2) / 2] * 2)


@pytest.mark.parametrize("how", AVERAGES)
def test_scales_far_apart_do_not_overflow(how: Average) -> None:
    posterior = [torch.tensor([[0.0, 1.0, -60.0, 0.0, 50.0, 0.0], [1.0, 1.0, -60.0, 0.0, -50.0, 0.0]])]
    posterior[0].requires_grad_()
    (averaged,), _ = Averaging(blocks(3), how, "symmetric")(posterior)
    (gradient,) = torch.autograd.grad(averaged.sum(), posterior)
    assert averaged.isfinite().all() and gradient.isfinite().all()


@given(seeds)
@settings(max_examples=25)
def test_the_least_is_shared_and_the_most_is_not(seed: int) -> None:
    latents = blocks(2, -3, 2)
    posterior = a_batch(latents, seed)
    _, shared = Averaging(latents, "mean", "kl")(posterior)
    for pair in range(PAIRS):
        one, other = (distributions(latents, posterior, row) for row in (pair, PAIRS + pair))
        order = sorted(range(5), key=lambda d: kl_divergence(one[d], other[d]).item())
        ranked = [bool(shared[pair, d]) for d in order]
        assert ranked[0] and not ranked[-1]
        assert all(before or not after for before, after in pairwise(ranked))


def test_where_all_are_equally_far_nothing_is_shared() -> None:
    posterior = [torch.zeros(2, 6)]
    (averaged,), shared = Averaging(blocks(3), "mean", "kl")(posterior)
    assert not shared.any()
    assert torch.equal(averaged, posterior[0])


def test_only_the_symmetric_distance_does_not_depend_on_which_is_first() -> None:
    latents = blocks(4)
    # Wide against narrow: KL is large one way and small the other.
    one, other = torch.zeros(1, 8), torch.tensor([[0.0, 0, 0, 0, 2.0, -1.2, 0, 0]])
    there, back = torch.cat([one, other]), torch.cat([other, one])
    kl, symmetric = (Averaging(latents, "mean", distance) for distance in DISTANCES)
    assert not torch.equal(kl([there])[1], kl([back])[1])
    assert torch.equal(symmetric([there])[1], symmetric([back])[1])


@pytest.mark.parametrize("how", AVERAGES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_no_gradient_passes_through_the_choice(how: Average, distance: Distance) -> None:
    """The gradient is that of the averages with the choice written down beforehand."""
    latents = blocks(3, -3)
    averaging = Averaging(latents, how, distance)
    posterior = [each.requires_grad_() for each in a_batch(latents)]
    averaged, shared = averaging(posterior)
    assert not shared.requires_grad
    weights = [torch.randn_like(each) for each in posterior]
    loss = sum((weight * each).sum() for weight, each in zip(weights, averaged, strict=True))
    found = torch.autograd.grad(loss, posterior)

    normals, categories = posterior
    written = torch.zeros((), dtype=torch.float64)
    for pair in range(PAIRS):
        for side, row in enumerate((pair, PAIRS + pair)):
            for d in range(3):
                own = Normal(normals[row, d], normals[row, 3 + d].exp())
                if shared[pair, d]:
                    twin = (pair, PAIRS + pair)[1 - side]
                    own = average_of(own, Normal(normals[twin, d], normals[twin, 3 + d].exp()), how)
                written = written + weights[0][row, d] * own.mean + weights[0][row, 3 + d] * own.stddev.log()
            if shared[pair, 3]:
                both = average_of(
                    Categorical(logits=categories[pair]), Categorical(logits=categories[PAIRS + pair]), how
                )
                written = written + (weights[1][row] * both.probs.log()).sum()
            else:
                written = written + (weights[1][row] * categories[row]).sum()
    for one, other in zip(found, torch.autograd.grad(written, posterior), strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_that_must_be_zero() -> None:
    latents = blocks(4)
    posterior = a_batch(latents)[0].requires_grad_()
    (averaged,), shared = Averaging(latents, "mean", "kl")([posterior])
    for pair in range(PAIRS):
        for d in range(4):
            (gradient,) = torch.autograd.grad(averaged[pair, d], posterior, retain_graph=True)
            expected = torch.zeros_like(gradient)
            if shared[pair, d]:
                # Both examples, half each; nothing to scales, other latents and other pairs.
                expected[pair, d] = expected[PAIRS + pair, d] = 0.5
            else:
                expected[pair, d] = 1
            assert torch.equal(gradient, expected)


@pytest.mark.parametrize("density", DENSITIES)
def test_a_discrete_variable_is_one_factor(density: str) -> None:
    latents = blocks(2, -5, density=density)  # type: ignore[arg-type]
    _, shared = Averaging(latents, "mean", "kl")(a_batch(latents))
    assert shared.shape == (PAIRS, 3)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one latent has no other .* two or more"):
        Averaging(blocks(1), "mean", "kl")

    class Foreign:
        name, factor_names = "codes", ("codes[0]", "codes[1]")

    latents = Latents([StandardNormal(NormalBlock("z", 2))])
    latents.blocks = (*latents.blocks, Foreign())  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="the posterior of codes is a Foreign, whose average is not defined"):
        Averaging(latents, "mean", "kl")
