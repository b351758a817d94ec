"""Linear layers whose float32 products oneDNN takes on a CPU, which can be faster there than what torch asks (MKL).

How much so depends on the processor: ``scripts/bench_train.py`` has a line for the products of either.

Shapes: B examples; I inputs and O outputs of a layer. R layers at once, under ``torch.vmap``.
"""

import platform
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Other processors' builds of oneDNN are other programs, which nobody here has measured.
_HAS_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
# Below, the call costs more than it saves.
_LEAST_SIDE, _LEAST_SIZE = 32, 10**7


class Linear(nn.Linear):
    """``nn.Linear``, and nothing else to whoever uses it."""

    def forward(self, input: Tensor) -> Tensor:
        if not is_onednns(input, self.weight):
            return functional.linear(input, self.weight, self.bias)
        output: Tensor = _Product.apply(input, self.weight, self.bias)
        return output


def is_onednns(x: Tensor, weight: Tensor) -> bool:
    """Return whether x [B, I] times weight [O, I], and the products of the backward pass, are oneDNN's."""
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
    """left [M, K], right [N, K], bias [N] -> left rightᵀ + bias [M, N], by oneDNN, without a gradient."""
    product: Tensor = torch.ops.hfvae_runner.times_transposed(left, right, bias)
    return product


def weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """gradient [B, O], x [B, I] -> gradientᵀ x [O, I], by oneDNN."""
    # One transposition by hand: oneDNN takes longer to do both.
    return times_transposed(gradient.T.contiguous(), x.T)


class _Product(torch.autograd.Function):
    """x [B, I], weight [O, I], bias [O] or None -> x Wᵀ + b [B, O]."""

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
        """R products at once are torch's: oneDNN's call is for one."""

        def fronted(each: Tensor, place: int | None) -> Tensor:
            return each.expand(info.batch_size, *each.shape) if place is None else each.movedim(place, 0)

        xs, weights = fronted(x, in_dims[0]), fronted(weight, in_dims[1]).mT
        if bias is None:
            return torch.bmm(xs, weights), 0
        return torch.baddbmm(fronted(bias, in_dims[2])[:, None], xs, weights), 0


# An operator of our own around torch's, which torch.compile takes for frozen weights alone.
torch.library.define("hfvae_runner::times_transposed", "(Tensor left, Tensor right, Tensor? bias) -> Tensor")


@torch.library.impl("hfvae_runner::times_transposed", "CPU")
def _by_onednn(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return product


@torch.library.register_fake("hfvae_runner::times_transposed")  # type: ignore[untyped-decorator]
def _(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    return left.new_empty(len(left), len(right))
