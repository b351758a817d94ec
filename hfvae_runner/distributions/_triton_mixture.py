"""Launch functions for the Triton kernels of ``fused_mixture``; imported only where tensors are on CUDA.

Shapes: R mixtures; S samples and M components of each; D normal factors; C categorical factors with K categories in
total; L columns: all factors together, each block, each factor.

Two runs agree to the bit: there are no atomic additions, and sums are cut into parts that depend on sizes alone.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor

from hfvae_runner.distributions import _triton_kernels as kernels

# Samples and components of a forward program's tile, and its warps. Each thread spans the samples and keeps sums of its
# own components, which are reduced at the end. A program has few samples: the joint column takes as long as the columns
# of all factors, and 2,048 samples divide it into 128 programs, about one for each multiprocessor of an A100 (108) or
# H100 (132). The other columns' programs, about ten times as many and shorter, use the remaining capacity.
_SAMPLES, _COMPONENTS, _WARPS = 16, 64, 4
# A backward program is one warp. Each thread computes two outputs (samples or components) and sums over tiles of eight,
# so that no sum crosses threads. Larger values of either need more registers than there are.
_OUTPUTS, _SUMMED = 64, 8
# Factors or categories of a backward program, whose sums stay in registers. Each further program of this size
# recomputes the joint column.
_CHUNK = 16
# Where there are fewer backward programs than this, sums are cut into parts. The number is eight programs for each of
# about 128 multiprocessors, as many as their registers hold. It also bounds the memory of the parts.
_PROGRAMS = 1024

# Set explicitly, because Triton's default changes from 3.9 to 3.10.
_ROUNDING = {"enable_fp_fusion": True}


@dataclass(frozen=True)
class Mixture:
    """The inputs of every kernel. Tensors are float32, except ``index``.

    Attributes:
        z: [R, S, D].
        mean, precision, constant: [R, D, M]; ``constant`` is the part of a normal's log-density that does not depend
            on z.
        index: [R, S, C], rows of ``log_probs``, int64.
        log_probs: [R, K, M].
        blocks: four numbers for each block: its first normal factor and one past its last, then the same for
            categorical factors.
        own_more, following_more: by how much the log-weights of a sample's own component and of the next one exceed
            the rest. The rest's log-weight is not part of the entries.
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
        """Return the leading arguments that all kernels share, in order."""
        samples, components = self.z.shape[1], self.mean.shape[2]
        following_more = self.following_more if components > 1 else 0.0
        spans = _spans(tuple(self.blocks), self.z.device)
        tensors = (self.z.mT, self.mean, self.precision, self.constant, self.index.mT, self.log_probs)
        return (
            *(*map(Tensor.contiguous, tensors), spans),
            *(self.own_more, following_more, samples, components, self.log_probs.shape[1], len(self.blocks) // 4),
        )


def mixture(given: Mixture) -> tuple[Tensor, Tensor]:
    """Return each row's largest entry and the sum of exp(entry − largest), [R, S, L] each, float32."""
    z = given.z
    columns = 1 + len(given.blocks) // 4 + z.shape[2] + given.index.shape[2]
    peak, total = (z.new_empty((*z.shape[:2], columns)) for _ in range(2))
    with torch.cuda.device_of(z):
        kernels.totals[triton.cdiv(z.shape[1], _SAMPLES), columns, len(z)](
            *given.inputs(), peak, total, BLOCK_S=_SAMPLES, BLOCK_M=_COMPONENTS, num_warps=_WARPS, **_ROUNDING
        )
    return peak, total


def mixture_backward(given: Mixture, peak: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients to z, mean, log_scale and log_probs, in the shapes of ``Mixture``.

    ``peak`` is the first result of ``mixture``; ``scale`` is gradient / total, [R, S, L].
    """
    inputs = (*given.inputs(), peak, scale)
    samples, components = given.z.shape[1], given.mean.shape[2]
    (to_z,) = _gradients(kernels.to_samples, inputs, inputs[0], components, 1)
    to_mean, to_log_scale = _gradients(kernels.to_normals, inputs, given.mean, samples, 2)
    (to_log_probs,) = _gradients(kernels.to_categories, inputs, given.log_probs, samples, 1)
    return to_z.mT.contiguous(), to_mean, to_log_scale, to_log_probs


def _gradients(kernel: Any, inputs: tuple[Any, ...], like: Tensor, summed: int, count: int) -> list[Tensor]:
    """Run a kernel and return its ``count`` gradients, shaped like ``like`` [R, factors, outputs].

    Each gradient is a sum over ``summed`` samples or components.
    """
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
    """Return for each column its first normal factor and one past its last, then the same for categorical, [L, 4].

    The table is cached and never freed. A copy from the host is not allowed while a CUDA graph is captured, so an
    earlier step must have made it, and the captured graph continues to read it.
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
