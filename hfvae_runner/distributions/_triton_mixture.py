"""Launches the loops of ``fused_mixture`` on CUDA; imported only where there are such tensors.

Shapes: R mixtures at once; S samples and M components of each; D normal factors; C categorical ones with K categories
in all; L columns: all factors together, each block, each factor.

Two runs agree to the bit: there are no atomic additions, and sums are cut into parts that depend on sizes alone.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor

from hfvae_runner.distributions import _triton_kernels as kernels

# Tiles: samples and components of a forward program, and its warps. A thread lies across the samples and keeps sums of
# its own components, which meet at the end. Few samples a program: the joint column takes as long as those of all
# factors, and 2,048 samples make it 128 programs, about one for each multiprocessor of an A100 (108) or H100 (132);
# the other columns' programs, some ten times as many and shorter, fill what is left.
_SAMPLES, _COMPONENTS, _WARPS = 16, 64, 4
# A backward program is one warp: a thread has two outputs (samples or components) and adds up over tiles of eight, so
# that no sum crosses threads. With more of either, registers run out.
_OUTPUTS, _SUMMED = 64, 8
# Factors or categories of a backward program, whose sums stay in registers. Each further program of this many computes
# the joint column anew.
_CHUNK = 16
# Where there are fewer backward programs, sums are cut into parts: eight for each of some 128 multiprocessors are as
# many as their registers hold. The parts' memory is bounded by that, too.
_PROGRAMS = 1024

# Said to Triton, whose own choice changes from 3.9 to 3.10.
_ROUNDING = {"enable_fp_fusion": True}


@dataclass(frozen=True)
class Mixture:
    """What every kernel reads; the tensors are float32 except ``index``.

    Attributes:
        z: [R, S, D].
        mean, precision, constant: [R, D, M], the last what of a normal's log-density does not depend on z.
        index: [R, S, C], rows of ``log_probs``, int64.
        log_probs: [R, K, M].
        blocks: of each, its first and last normal factor, and its first and last categorical one.
        own_more, following_more: how much more than the rest a sample's own component and the one after it weigh; the
            rest's weight is in no entry.
    """

    z: Tensor
    mean: Tensor
    precision: Tensor
    constant: Tensor
    index: Tensor
    log_probs: Tensor
    blocks: list[int]
    own_more: float
    following_more: float

    def inputs(self) -> tuple[Any, ...]:
        """Return what all kernels take first, in their order."""
        samples, components = self.z.shape[1], self.mean.shape[2]
        following_more = self.following_more if components > 1 else 0.0
        spans = _spans(tuple(self.blocks), self.z.device)
        tensors = (self.z.mT, self.mean, self.precision, self.constant, self.index.mT, self.log_probs)
        return (
            *(*map(Tensor.contiguous, tensors), spans),
            *(self.own_more, following_more, samples, components, self.log_probs.shape[1], len(self.blocks) // 4),
        )


def mixture(given: Mixture) -> tuple[Tensor, Tensor]:
    """Return each row's largest entry, and the sum of exp(entry − largest): [R, S, L] both, float32."""
    z = given.z
    columns = 1 + len(given.blocks) // 4 + z.shape[2] + given.index.shape[2]
    peak, total = (z.new_empty((*z.shape[:2], columns)) for _ in range(2))
    with torch.cuda.device_of(z):
        kernels.totals[triton.cdiv(z.shape[1], _SAMPLES), columns, len(z)](
            *given.inputs(), peak, total, BLOCK_S=_SAMPLES, BLOCK_M=_COMPONENTS, num_warps=_WARPS, **_ROUNDING
        )
    return peak, total


def mixture_backward(given: Mixture, peak: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to z, mean, log_scale and log_probs, from ``mixture``'s peak and gradient / total, [R, S, L]."""
    inputs = (*given.inputs(), peak, scale)
    samples, components = given.z.shape[1], given.mean.shape[2]
    (to_z,) = _gradients(kernels.to_samples, inputs, inputs[0], components, 1)
    to_mean, to_log_scale = _gradients(kernels.to_normals, inputs, given.mean, samples, 2)
    (to_log_probs,) = _gradients(kernels.to_categories, inputs, given.log_probs, samples, 1)
    return to_z.mT.contiguous(), to_mean, to_log_scale, to_log_probs


def _gradients(kernel: Any, inputs: tuple[Any, ...], like: Tensor, summed: int, count: int) -> list[Tensor]:
    """So many of a kernel's gradients, shaped like ``like`` [R, factors, outputs], each a sum over ``summed``."""
    mixtures, factors, outputs = like.shape
    tiles, chunks = triton.cdiv(outputs, _OUTPUTS), triton.cdiv(factors, _CHUNK)
    wanted = _PROGRAMS // max(1, mixtures * tiles * chunks)
    parts = max(1, min(wanted, triton.cdiv(summed, _SUMMED)))
    results = [like.new_empty((parts, *like.shape)) for _ in range(count)]
    with torch.cuda.device_of(like):
        kernel[tiles, chunks * parts, mixtures](
            *inputs, parts, *results, BLOCK=_OUTPUTS, SUMMED=_SUMMED, CHUNK=_CHUNK, num_warps=1, **_ROUNDING
        )
    return [each.sum(0) for each in results]


@cache
def _spans(blocks: tuple[int, ...], device: torch.device) -> Tensor:
    """Of each column: its first and last normal factor, and its first and last categorical one, [L, 4].

    Kept for good: a CUDA graph being captured takes no copy from the host, so the table must be there from a step
    before, and a captured graph goes on reading it.
    """
    by_block = [list(blocks[place : place + 4]) for place in range(0, len(blocks), 4)]
    by_factor = [
        span
        for first, last, first_category, last_category in by_block
        for span in (
            *([d, d + 1, first_category, first_category] for d in range(first, last)),
            *([last, last, c, c + 1] for c in range(first_category, last_category)),
        )
    ]
    joint = [0, blocks[-3], 0, blocks[-1]]
    return torch.tensor([joint, *by_block, *by_factor], device=device)
