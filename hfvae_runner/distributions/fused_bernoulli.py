"""The log-density of independent Bernoulli variables, ``bernoulli.log_prob`` summed over an example in one pass.

The kernel is for float32 on the CPU. Shapes: B examples; P values of each.
"""

from typing import Any

import torch
from torch import Tensor


def supports(logits: Tensor) -> bool:
    """Return whether a fused kernel exists for these logits' dtype and device."""
    return logits.device.type == "cpu" and logits.dtype == torch.float32


def log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """Return Σ x·log p + (1−x)·log(1−p) with p = sigmoid(logits), x and logits [B, P] -> [B]. Nats.

    The gradient to x is None.
    """
    log_density: Tensor = _bernoulli(x, logits)
    return log_density


@torch.library.custom_op("hfvae_runner::bernoulli", mutates_args=())
def _bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    from hfvae_runner.distributions import _kernels as kernels

    kernels.use_torch_s_threads()
    log_density = torch.empty(len(logits))
    kernels.bernoulli(_array(x), _array(logits), log_density.numpy())
    return log_density


@_bernoulli.register_fake
def _(x: Tensor, logits: Tensor) -> Tensor:
    return logits.new_empty(len(logits))


@torch.library.custom_op("hfvae_runner::bernoulli_backward", mutates_args=())
def _bernoulli_backward(gradient: Tensor, x: Tensor, logits: Tensor) -> Tensor:
    from hfvae_runner.distributions import _kernels as kernels

    kernels.use_torch_s_threads()
    to_logits = torch.empty(logits.shape)
    kernels.bernoulli_backward(_array(x), _array(logits), _array(gradient), to_logits.numpy())
    return to_logits


@_bernoulli_backward.register_fake
def _(gradient: Tensor, x: Tensor, logits: Tensor) -> Tensor:
    return logits.new_empty(logits.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
    return None, _bernoulli_backward(gradient, *ctx.saved_tensors)


_bernoulli.register_autograd(_differentiate, setup_context=_keep)


def _over_many(info: Any, in_dims: tuple[int | None, int | None], x: Tensor, logits: Tensor) -> tuple[Tensor, int]:
    """Apply the kernel under ``torch.vmap``, with the examples of all batches along one axis."""
    many = info.batch_size
    x, logits = (
        (each.expand(many, *each.shape) if place is None else each.movedim(place, 0)).flatten(0, 1)
        for each, place in zip((x, logits), in_dims, strict=True)
    )
    return _bernoulli(x, logits).unflatten(0, (many, -1)), 0


_bernoulli.register_vmap(_over_many)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
