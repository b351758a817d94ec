"""The log-density of mixtures whose components are products of normals and categoricals, in memory of B·F, not B·B·F.

The results are those of ``normal.log_prob_table`` and ``mixture.log_prob``, in float32, for all three levels in one
pass over the components.

Shapes: S samples; M components; D normal factors; C categorical factors; K categories of one; G blocks; F factors; and
L = 1 + G + F columns: all blocks together, each block, each factor. Internally, tensors have a leading axis of R
mixtures, which ``torch.vmap`` creates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hfvae_runner.config.names import Level
from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.distributions.normal import HALF_LOG_2PI

_MOST_PARTS, _SAMPLES_A_PART = 32, 16
_HAS_TRITON = find_spec("triton") is not None


@dataclass(frozen=True)
class Normals:
    """A block of normal factors: samples [S, D], and every component's ``mean`` and ``log_scale``, [M, D] each."""

    sample: Tensor
    mean: Tensor
    log_scale: Tensor


@dataclass(frozen=True)
class Categories:
    """A categorical factor: each sample's category [S], int64, and every component's log-probabilities [M, K]."""

    category: Tensor
    log_probs: Tensor


Factors = Normals | Categories


def supports(like: Tensor) -> bool:
    """Return whether a fused kernel exists for this tensor's dtype and device."""
    return like.dtype == torch.float32 and (like.device.type == "cpu" or (like.is_cuda and _HAS_TRITON))


class Product:
    """A weighted mixture whose components are products of blocks of factors, with the samples to score under it."""

    def __init__(self, blocks: Sequence[Factors], weights: Weights) -> None:
        normals = [block for block in blocks if isinstance(block, Normals)]
        categories = [block for block in blocks if isinstance(block, Categories)]
        samples, components = (
            (blocks[0].sample, blocks[0].mean)
            if isinstance(blocks[0], Normals)
            else (blocks[0].category, blocks[0].log_probs)
        )
        none_of = (components.new_empty(len(each), 0) for each in (samples, components, components))
        z, mean, log_scale = (
            [torch.cat(part, dim=1) for part in zip(*map(_parameters, normals), strict=True)] if normals else none_of
        )
        log_probs = (
            torch.cat([block.log_probs for block in categories], dim=1)
            if categories
            else components.new_empty(len(components), 0)
        )
        starts = [0, *accumulate(block.log_probs.shape[1] for block in categories)]
        index = (
            torch.stack([block.category + start for block, start in zip(categories, starts, strict=False)], dim=1)
            if categories
            else torch.empty(len(samples), 0, dtype=torch.int64, device=samples.device)
        )
        # The kernels expect components along the last axis, and mixtures along the first.
        mean, log_scale, log_probs = (each.mT.contiguous()[None] for each in (mean, log_scale, log_probs))
        along = log_scale.detach()
        # The kernel does not propagate NaN. So a NaN in the inputs is added to the whole mixture's result.
        poison = 0 * torch.stack([each.detach().sum() for each in (z, mean, log_scale, log_probs)]).sum()[None]
        self._inputs = (
            *(z[None], mean, log_scale, log_probs),
            *(torch.exp(-along), -(along + HALF_LOG_2PI), index[None], poison),
        )
        self._blocks = _ranges(blocks)
        self._weights = weights
        self._log_densities: dict[Level, Tensor] = {}

    def log_prob(self, level: Level) -> Tensor:
        """Return log Σ_m exp(w_sm) q_m(z_s) of all blocks together [S], each block [S, G], or each factor [S, F].

        The unit is nats. All three are parts of one result, which is computed on the first call, and share its graph.
        """
        if not self._log_densities:
            weights = self._weights
            every = _mixture(*self._inputs, self._blocks, weights.rest, weights.own, weights.following)[0][0]
            joint, block, factor = every.split([1, *_sizes(self._blocks)], dim=1)
            self._log_densities = {"joint": joint[:, 0], "block": block, "factor": factor}
        return self._log_densities[level]


def _parameters(normals: Normals) -> tuple[Tensor, Tensor, Tensor]:
    return normals.sample, normals.mean, normals.log_scale


def _ranges(blocks: Sequence[Factors]) -> list[int]:
    """Return four numbers for each block, in one list [4·G].

    They are its first normal factor and one past its last, then the same for categorical factors.
    """
    ranges: list[int] = []
    d, c = 0, 0
    for block in blocks:
        normals, categories = (block.sample.shape[1], 0) if isinstance(block, Normals) else (0, 1)
        ranges += [d, d + normals, c, c + categories]
        d, c = d + normals, c + categories
    return ranges


def _sizes(blocks: list[int]) -> tuple[int, int]:
    """Return the numbers of blocks and of factors."""
    return len(blocks) // 4, blocks[-3] + blocks[-1]


@torch.library.custom_op("hfvae_runner::mixture", mutates_args=())
def _mixture(
    z: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    log_probs: Tensor,
    precision: Tensor,
    constant: Tensor,
    index: Tensor,
    poison: Tensor,
    blocks: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the log-density [R, S, L], and each row's peak and total [R, S, L] for the backward pass.

    Args:
        z: [R, S, D].
        mean, log_scale: [R, D, M].
        log_probs: [R, K, M], where K counts the categories of all variables.
        precision, constant: [R, D, M]; exp(−log_scale), and the part of a normal's log-density that does not depend
            on z.
        index: [R, S, C], rows of ``log_probs``, int64.
        poison: [R], added to a mixture's whole result: 0, or NaN where an input is NaN.
        blocks: as from ``_ranges``.
        rest, own, following: the log-weights, as in ``Weights``.
    """
    from hfvae_runner.distributions import _kernels as kernels

    kernels.use_torch_s_threads()
    peak, total = (torch.empty((*z.shape[:2], 1 + sum(_sizes(blocks)))) for _ in range(2))
    mixture = _arrays(z, index), _arrays(mean, precision, constant, log_probs), *_numbers(blocks, rest, own, following)
    kernels.mixture(*mixture, _parts(z.shape[1]), *_arrays(peak, total))
    return _log_density(peak, total, rest, poison), peak, total


def _log_density(peak: Tensor, total: Tensor, rest: float, poison: Tensor) -> Tensor:
    return total.log().add_(peak).add_(rest).add_(poison[:, None, None])


@_mixture.register_kernel("cuda")
def _mixture_on_cuda(
    z: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    log_probs: Tensor,
    precision: Tensor,
    constant: Tensor,
    index: Tensor,
    poison: Tensor,
    blocks: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from hfvae_runner.distributions import _triton_mixture as kernels

    given = kernels.Mixture(z, mean, precision, constant, index, log_probs, blocks, own - rest, following - rest)
    peak, total = kernels.mixture(given)
    return _log_density(peak, total, rest, poison), peak, total


@_mixture.register_fake
def _(z: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    *_, blocks, _rest, _own, _following = others
    shape = (z.shape[0], z.shape[1], 1 + sum(_sizes(blocks)))
    return z.new_empty(shape), z.new_empty(shape), z.new_empty(shape)


@torch.library.custom_op("hfvae_runner::mixture_backward", mutates_args=())
def _mixture_backward(
    gradient: Tensor,
    peak: Tensor,
    total: Tensor,
    z: Tensor,
    mean: Tensor,
    log_probs: Tensor,
    precision: Tensor,
    constant: Tensor,
    index: Tensor,
    blocks: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients to z, mean, log_scale and log_probs, from the gradient to the log-density [R, S, L]."""
    from hfvae_runner.distributions import _kernels as kernels

    kernels.use_torch_s_threads()
    parts = _parts(z.shape[1])
    to_z = torch.zeros(z.shape)
    to_mean, to_log_scale, to_log_probs = (
        torch.zeros(len(z), parts, *each.shape[1:]) for each in (mean, mean, log_probs)
    )
    kernels.mixture_backward(
        *(_arrays(z, index), _arrays(mean, precision, constant, log_probs), *_numbers(blocks, rest, own, following)),
        *_arrays(peak, _merged(gradient / total, blocks)),
        _arrays(to_z, to_mean, to_log_scale, to_log_probs),
    )
    return to_z, to_mean.sum(1), to_log_scale.sum(1), to_log_probs.sum(1)


@_mixture_backward.register_kernel("cuda")
def _mixture_backward_on_cuda(
    gradient: Tensor,
    peak: Tensor,
    total: Tensor,
    z: Tensor,
    mean: Tensor,
    log_probs: Tensor,
    precision: Tensor,
    constant: Tensor,
    index: Tensor,
    blocks: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from hfvae_runner.distributions import _triton_mixture as kernels

    given = kernels.Mixture(z, mean, precision, constant, index, log_probs, blocks, own - rest, following - rest)
    return kernels.mixture_backward(given, peak.contiguous(), (gradient / total).contiguous())


@_mixture_backward.register_fake
def _(
    gradient: Tensor, peak: Tensor, total: Tensor, z: Tensor, mean: Tensor, log_probs: Tensor, *others: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return z.new_empty(z.shape), mean.new_empty(mean.shape), mean.new_empty(mean.shape), mean.new_empty(log_probs.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    z, mean, _log_scale, log_probs, precision, constant, index, _poison, *constants = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output[1:], z, mean, log_probs, precision, constant, index)
    ctx.constants = constants


def _differentiate(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    gradient = gradients[0]
    if gradient is None:
        return (None,) * 12
    return *_mixture_backward(gradient.contiguous(), *ctx.saved_tensors, *ctx.constants), *(None,) * 8


_mixture.register_autograd(_differentiate, setup_context=_keep)


def _over_many(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Apply the kernel under ``torch.vmap``, with the new axis merged into the axis of mixtures."""
    many = info.batch_size
    fronted = (
        (each.expand(many, *each.shape) if place is None else each.movedim(place, 0)).flatten(0, 1)
        for each, place in zip(inputs[:8], in_dims[:8], strict=True)
    )
    results = _mixture(*fronted, *inputs[8:])
    return tuple(each.unflatten(0, (many, -1)) for each in results), (0, 0, 0)


_mixture.register_vmap(_over_many)


def _arrays(*tensors: Tensor) -> tuple[Any, ...]:
    return tuple(each.detach().contiguous().numpy() for each in tensors)


def _numbers(blocks: list[int], rest: float, own: float, following: float) -> tuple[Any, Any]:
    """Return the blocks [G, 4], and two log-weights minus that of the rest.

    They are those of a sample's own component and of the component after it.
    """
    return np.array(blocks, np.int64).reshape(-1, 4), (np.float32(own - rest), np.float32(following - rest))


def _merged(scale: Tensor, blocks: list[int]) -> Tensor:
    """Return ``scale`` [R, S, L], changed in place, with the scale of each repeated column moved to its original.

    A block that is the only one repeats the joint column, and a block of one factor repeats that factor's column.
    """
    count, column = len(blocks) // 4, 1 + len(blocks) // 4
    for g in range(count):
        first, last, first_category, last_category = blocks[4 * g : 4 * g + 4]
        size = last - first + last_category - first_category
        if size == 1 or count == 1:
            scale[..., column if size == 1 else 0] += scale[..., 1 + g]
            scale[..., 1 + g] = 0
        column += size
    return scale


def _parts(samples: int) -> int:
    """Return the number of parts into which sums over samples are cut."""
    return min(_MOST_PARTS, -(-samples // _SAMPLES_A_PART))
