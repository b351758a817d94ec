"""The Triton kernels in Triton's interpreter, on CPU tensors, against tables in float64.

A program, since what Triton makes of a kernel is settled at its import: ``TRITON_INTERPRET=1 python interpreted.py``.
It prints a line for each case and ends with an error where one is wrong.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hfvae_runner.distributions import _triton_mixture
from hfvae_runner.distributions.normal import HALF_LOG_2PI


@dataclass(frozen=True)
class Case:
    """Blocks of so many normals, or of one variable over so many categories where the number is negative."""

    layout: tuple[int, ...]
    samples: int
    components: int
    mixtures: int = 1
    own_more: float = 0.0
    following_more: float = 0.0
    spread: float = 1.0
    programs: int = 1024  # backward ones wanted; of few, each adds up over several tiles
    chunk: int = 16  # factors of a backward program
    rtol: float = 2e-5


CASES = (
    Case((2, -3, 1), samples=9, components=66, own_more=-1.5, following_more=1.5),
    Case((2, -3, 1), samples=66, components=18, own_more=-1.5, following_more=1.5, programs=2),
    Case((2,), samples=5, components=130),
    Case((-3, -5), samples=20, components=7, programs=4, chunk=2),
    Case((3, -2), samples=2, components=3, mixtures=3, own_more=0.7, chunk=2),
    Case((2, -2), samples=4, components=1, own_more=0.4, following_more=9.0),
    Case((2, -2), samples=1, components=2, own_more=-3.0, following_more=0.5),
    # A weight exp(a − b) of numbers near 1e5 is known to 1e-2.
    Case((2, -3), samples=10, components=10, own_more=-1.5, following_more=1.5, spread=300.0, rtol=2e-2),
)


@dataclass(frozen=True)
class Inputs:
    z: Tensor
    mean: Tensor
    log_scale: Tensor
    log_probs: Tensor
    index: Tensor
    blocks: list[int]


def drawn(case: Case) -> Inputs:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return case.spread * torch.randn(shape, generator=generator)

    blocks, log_probs, index = [], [], []
    d, c, k = 0, 0, 0
    for size in case.layout:
        normals, categories = max(size, 0), max(-size, 0)
        blocks += [d, d + normals, c, c + (categories > 0)]
        if categories:
            log_probs.append(torch.log_softmax(random(case.mixtures, categories, case.components), 1))
            index.append(k + torch.randint(categories, (case.mixtures, case.samples), generator=generator))
        d, c, k = d + normals, c + (categories > 0), k + categories
    return Inputs(
        random(case.mixtures, case.samples, d),
        random(case.mixtures, d, case.components),
        random(case.mixtures, d, case.components).clamp(-2, 2) / 2,
        torch.cat(log_probs, 1) if log_probs else torch.empty(case.mixtures, 0, case.components),
        torch.stack(index, 2) if index else torch.empty(case.mixtures, case.samples, 0, dtype=torch.int64),
        blocks,
    )


def by_tables(case: Case, inputs: Inputs) -> Tensor:
    """log Σ exp(entry) of every column, [R, S, L]."""
    standardised = (inputs.z.mT[..., None] - inputs.mean[:, :, None]) * torch.exp(-inputs.log_scale[:, :, None])
    normals = -0.5 * standardised**2 - inputs.log_scale[:, :, None] - HALF_LOG_2PI
    categories = torch.stack([probs[index.T] for probs, index in zip(inputs.log_probs, inputs.index, strict=True)])
    blocks = [
        [*normals.unbind(1)[first:last], *categories.unbind(1)[first_category:last_category]]
        for first, last, first_category, last_category in zip(*(inputs.blocks[i::4] for i in range(4)), strict=True)
    ]
    factors = [factor for block in blocks for factor in block]
    weights = torch.zeros(case.samples, case.components, dtype=inputs.z.dtype)
    for s in range(min(case.samples, case.components)):
        weights[s, s] += case.own_more
    for s in range(case.samples if case.components > 1 else 0):
        weights[s, (s + 1) % case.components] += case.following_more
    columns = [factors, *blocks, *([factor] for factor in factors)]
    return torch.stack([torch.logsumexp(weights + torch.stack(column).sum(0), 2) for column in columns], 2)


def assert_close(found: Tensor, expected: Tensor, rtol: float) -> None:
    # Of gradients that are sums of many, the largest says how exact the others can be.
    largest = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=rtol * max(1.0, largest))


def check(case: Case) -> None:
    inputs = drawn(case)
    exact = [each.double().requires_grad_() for each in (inputs.z, inputs.mean, inputs.log_scale, inputs.log_probs)]
    expected = by_tables(case, Inputs(*exact, inputs.index, inputs.blocks))
    toward = torch.linspace(-1, 2, expected.numel(), dtype=torch.float64).view_as(expected)

    precision, constant = torch.exp(-inputs.log_scale), -(inputs.log_scale + HALF_LOG_2PI)
    tensors = (inputs.z, inputs.mean, precision, constant, inputs.index, inputs.log_probs)
    given = _triton_mixture.Mixture(*tensors, inputs.blocks, case.own_more, case.following_more)
    peak, total = _triton_mixture.mixture(given)
    assert (total >= 0.999).all(), "the largest entry is one of those added up"
    assert_close(total.log() + peak, expected.detach(), case.rtol)

    _triton_mixture._PROGRAMS, _triton_mixture._CHUNK = case.programs, case.chunk
    gradients = _triton_mixture.mixture_backward(given, peak, toward.float() / total)
    for found, gradient in zip(gradients, torch.autograd.grad(expected, exact, toward, allow_unused=True), strict=True):
        assert_close(found, torch.zeros(found.shape).double() if gradient is None else gradient, case.rtol)


if __name__ == "__main__":
    for case in CASES:
        check(case)
        print(case)
