"""Linear layers whose float32 products on a CPU use oneDNN, which can be faster than torch's default (MKL).

The gain depends on the processor: ``scripts/bench_train.py`` prints a line for the products of each library.

Shapes: B examples; I inputs and O outputs of a layer; R layers at once under ``torch.vmap``.
"""

import platform
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Only x86-64: builds of oneDNN for other processors have different kernels, which are not measured here.
_HAS_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
# Minimum sizes: for smaller products, the call's overhead exceeds the gain.
_LEAST_SIDE, _LEAST_SIZE = 32, 10**7


class Linear(nn.Linear):
    """Drop-in replacement for ``nn.Linear``: x [B, I] -> [B, O]."""

    def forward(self, input: Tensor) -> Tensor:
        if not is_onednns(input, self.weight):
            return functional.linear(input, self.weight, self.bias)
        output: Tensor = _Product.apply(input, self.weight, self.bias)
        return output


def is_onednns(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN computes x [B, I] times weight [O, I] and the products of the backward pass."""
    return (
        _HAS_ONEDNN
        and x.ndim == 2
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and min(len(x), *weight.shape) >= _LEAST_SIDE
        and len(x) * weight.numel() >= _LEAST_SIZE
    )


def times_transposed(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return left rightᵀ + bias, computed by oneDNN without a gradient: [M, K], [N, K], [N] -> [M, N]."""
    product: Tensor = torch.ops.hfvae_runner.times_transposed(left, right, bias)
    return product


def weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """Return gradientᵀ x, computed by oneDNN: gradient [B, O], x [B, I] -> [O, I]."""
    # One explicit transposition: oneDNN takes longer if it transposes both.
    return times_transposed(gradient.T.contiguous(), x.T)


class _Product(torch.autograd.Function):
    """Differentiable product x Wᵀ + b: x [B, I], weight [O, I], bias [O] or None -> [B, O]."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return times_transposed(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            times_transposed(gradient, weight.T) if of_x else None,
            weight_gradient(gradient, x) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, int]:
        """Compute R products at once with torch, because oneDNN's call computes only one."""

        def fronted(each: Tensor, place: int | None) -> Tensor:
            return each.expand(info.batch_size, *each.shape) if place is None else each.movedim(place, 0)

        xs, weights = fronted(x, in_dims[0]), fronted(weight, in_dims[1]).mT
        if bias is None:
            return torch.bmm(xs, weights), 0
        return torch.baddbmm(fronted(bias, in_dims[2])[:, None], xs, weights), 0


# A custom operator around torch's operator, which torch.compile supports for frozen weights only.
torch.library.define("hfvae_runner::times_transposed", "(Tensor left, Tensor right, Tensor? bias) -> Tensor")


@torch.library.impl("hfvae_runner::times_transposed", "CPU")
def _by_onednn(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return product


@torch.library.register_fake("hfvae_runner::times_transposed")  # type: ignore[untyped-decorator]
def _(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    return left.new_empty(len(left), len(right))
