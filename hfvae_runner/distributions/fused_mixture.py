"""The log-density of mixtures whose components are products of normals and categoricals, in memory of B·F, not B·B·F.

The same numbers as tables of ``normal.log_prob_table`` and ``mixture.log_prob`` give, in float32 on the CPU.

Shapes: S samples; M components; D normal factors; C categorical ones; K categories of one; G groups of factors.
Inside, tensors have a leading axis of R mixtures, which is what ``torch.vmap`` makes of many calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import torch
from torch import Tensor

from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.distributions.normal import HALF_LOG_2PI
from hfvae_runner.vocabulary import Level

_MOST_PARTS, _SAMPLES_A_PART = 32, 16


@dataclass(frozen=True)
class Normals:
    """Samples [S, D] of factors that are normal in each component: ``mean`` and ``log_scale`` [M, D]."""

    sample: Tensor
    mean: Tensor
    log_scale: Tensor


@dataclass(frozen=True)
class Categories:
    """The category [S] of each sample, int64, and every component's log-probabilities [M, K]."""

    category: Tensor
    log_probs: Tensor


Factors = Normals | Categories


def supports(like: Tensor) -> bool:
    """Whether tensors of this type, on this device, have a fused kernel."""
    return like.device.type == "cpu" and like.dtype == torch.float32


class Product:
    """Components that are products of blocks of factors, under which samples are scored."""

    def __init__(self, blocks: Sequence[Factors]) -> None:
        normals = [block for block in blocks if isinstance(block, Normals)]
        categories = [block for block in blocks if isinstance(block, Categories)]
        self._spans = _spans(blocks)
        samples, components = (
            (blocks[0].sample, blocks[0].mean)
            if isinstance(blocks[0], Normals)
            else (blocks[0].category, blocks[0].log_probs)
        )
        none_of = (components.new_empty(len(each), 0) for each in (samples, components, components))
        sizes = [0, *accumulate(block.log_probs.shape[1] for block in categories)]
        self._normals = (
            [torch.cat(part, dim=1)[None] for part in zip(*map(_parameters, normals), strict=True)]
            if normals
            else [each[None] for each in none_of]
        )
        self._categories = (
            torch.stack([block.category + size for block, size in zip(categories, sizes, strict=False)], dim=1)
            if categories
            else torch.empty(len(samples), 0, dtype=torch.int64)
        )[None]
        self._log_probs = (
            torch.cat([block.log_probs for block in categories], dim=1)
            if categories
            else components.new_empty(len(components), 0)
        )[None]

    def log_prob(self, level: Level, weights: Weights) -> Tensor:
        """log Σ_m exp(w_sm) q_m(z_s): of all blocks together [S], of each block [S, G], or of each factor [S, F]."""
        out: Tensor = _mixture(
            *self._normals,
            self._categories,
            self._log_probs,
            self._spans[level],
            weights.rest,
            weights.own,
            weights.following,
        )[0][0]
        return out[:, 0] if level == "joint" else out


def _parameters(normals: Normals) -> tuple[Tensor, Tensor, Tensor]:
    return normals.sample, normals.mean, normals.log_scale


def _spans(blocks: Sequence[Factors]) -> dict[Level, list[int]]:
    """Of each group at each level: its first and last normal factor, and its first and last categorical one."""
    by_block: list[list[int]] = []
    by_factor: list[list[int]] = []
    d, c = 0, 0
    for block in blocks:
        if isinstance(block, Normals):
            columns = range(d, d + block.sample.shape[1])
            by_block.append([d, columns.stop, c, c])
            by_factor += [[column, column + 1, c, c] for column in columns]
            d = columns.stop
        else:
            by_block.append([d, d, c, c + 1])
            by_factor.append([d, d, c, c + 1])
            c += 1
    return {"joint": [0, d, 0, c], "block": list(chain(*by_block)), "factor": list(chain(*by_factor))}


@torch.library.custom_op("hfvae_runner::mixture", mutates_args=())
def _mixture(
    z: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    index: Tensor,
    log_probs: Tensor,
    spans: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The log-density [R, S, G], and each row's peak and total for the backward pass."""
    from hfvae_runner.distributions import _mixture_kernels as kernels

    kernels.use_threads(torch.get_num_threads())
    inputs = _prepared(z, mean, log_scale, index, log_probs, spans)
    peak, total = (torch.empty((*z.shape[:2], len(spans) // 4)) for _ in range(2))
    more = torch.tensor([own - rest, following - rest]).numpy()
    kernels.forward(*inputs, more[0], more[1], _parts(z.shape[1]), peak.numpy(), total.numpy())
    # The kernel knows no NaN: one that comes in makes the whole mixture NaN.
    poison = 0 * torch.stack([each.sum((1, 2)) for each in (z, mean, log_scale, log_probs)]).sum(0)
    log_density = total.log().add_(peak).add_(rest).add_(poison[:, None, None])
    return log_density, peak, total


@_mixture.register_fake
def _(
    z: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    index: Tensor,
    log_probs: Tensor,
    spans: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (z.shape[0], z.shape[1], len(spans) // 4)
    return z.new_empty(shape), z.new_empty(shape), z.new_empty(shape)


@torch.library.custom_op("hfvae_runner::mixture_backward", mutates_args=())
def _mixture_backward(
    gradient: Tensor,
    peak: Tensor,
    total: Tensor,
    z: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    index: Tensor,
    log_probs: Tensor,
    spans: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to z, mean, log_scale and log_probs."""
    from hfvae_runner.distributions import _mixture_kernels as kernels

    kernels.use_threads(torch.get_num_threads())
    inputs = _prepared(z, mean, log_scale, index, log_probs, spans)
    (mixtures, samples, factors), components, categories = z.shape, mean.shape[1], log_probs.shape[2]
    parts = _parts(samples)
    to_z = torch.zeros_like(z, memory_format=torch.contiguous_format)
    to_mean, to_log_scale = (torch.zeros(mixtures, parts, factors, components) for _ in range(2))
    to_log_probs = torch.zeros(mixtures, parts, categories, components)
    more = torch.tensor([own - rest, following - rest]).numpy()
    kernels.backward(
        *inputs,
        more[0],
        more[1],
        peak.numpy(),
        (gradient / total).numpy(),
        *(each.numpy() for each in (to_z, to_mean, to_log_scale, to_log_probs)),
    )
    to_mean, to_log_scale, to_log_probs = (
        each.sum(1).transpose(1, 2).contiguous() for each in (to_mean, to_log_scale, to_log_probs)
    )
    return to_z, to_mean, to_log_scale, to_log_probs


@_mixture_backward.register_fake
def _(
    gradient: Tensor,
    peak: Tensor,
    total: Tensor,
    z: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    index: Tensor,
    log_probs: Tensor,
    spans: list[int],
    rest: float,
    own: float,
    following: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.empty_like(z), torch.empty_like(mean), torch.empty_like(log_scale), torch.empty_like(log_probs)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, peak, total = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(peak, total, *inputs[:5])
    ctx.constants = inputs[5:]


def _differentiate(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    gradient = gradients[0]
    if gradient is None:
        return (None,) * 9
    to_z, to_mean, to_log_scale, to_log_probs = _mixture_backward(
        gradient.contiguous(), *ctx.saved_tensors, *ctx.constants
    )
    return to_z, to_mean, to_log_scale, None, to_log_probs, None, None, None, None


_mixture.register_autograd(_differentiate, setup_context=_keep)


def _over_many(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """The rule for ``torch.vmap``: one more axis of mixtures."""
    many = info.batch_size
    fronted = (
        each.expand(many, *each.shape) if place is None else each.movedim(place, 0)
        for each, place in zip(inputs[:5], in_dims[:5], strict=True)
    )
    results = _mixture(*(each.flatten(0, 1) for each in fronted), *inputs[5:])
    return tuple(each.unflatten(0, (many, -1)) for each in results), (0, 0, 0)


_mixture.register_vmap(_over_many)


def _prepared(z: Tensor, mean: Tensor, log_scale: Tensor, index: Tensor, log_probs: Tensor, spans: list[int]) -> Any:
    """The kernels' arrays: components last, a precision and a constant for each normal."""
    along = log_scale.detach().transpose(1, 2)
    arrays = (
        z.detach(),
        mean.detach().transpose(1, 2),
        torch.exp(-along),
        -(along + HALF_LOG_2PI),
        index,
        log_probs.detach().transpose(1, 2),
        torch.tensor(spans, dtype=torch.int64).view(-1, 4),
    )
    return [each.contiguous().numpy() for each in arrays]


def _parts(samples: int) -> int:
    """Into how many the sums over samples are cut."""
    return min(_MOST_PARTS, -(-samples // _SAMPLES_A_PART))
