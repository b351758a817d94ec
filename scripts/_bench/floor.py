"""The matrix products of a training step, and nothing else: no step that computes the same networks can be faster.

Each linear layer's output, weight gradient and input gradient, by oneDNN where our own layers have it take them, else
as ``torch.mm`` into memory that is there already; each convolution's forward and backward calls; all on tensors of the
sizes, types and layouts that the networks meet. The input gradient of a layer that reads the data is not among them.
The operations of a multiplication and an addition count two.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hfvae_runner.models.linear import is_onednns, times_transposed, weight_gradient

Convolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Product:
    """One layer's calls in one step.

    Attributes:
        run: does them all.
        operations: floating-point ones.
        calls: how many products these are.
    """

    run: Callable[[], None]
    operations: int
    calls: int


def products(
    encoder: nn.Module, decoder: nn.Module, x: Tensor, code: Tensor, dtype: torch.dtype, *, by_torch: bool = False
) -> list[Product]:
    """The products of one step on a batch.

    Args:
        encoder: reads ``x``.
        decoder: reads ``code``.
        x: floats [B, *].
        code: [B, Σ C_g].
        dtype: of the products: float32, or bfloat16 under autocast.
        by_torch: all of them as torch takes them.
    """
    found: list[Product] = []

    def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        given = inputs[0].detach().to(dtype), output.detach().to(dtype), inputs[0].requires_grad
        if isinstance(layer, nn.Linear):
            found.append(_of_linear(layer, *given, by_torch=by_torch))
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.append(_of_convolution(layer, *given))

    layers = [layer for network in (encoder, decoder) for layer in network.modules()]
    hooks = [layer.register_forward_hook(note) for layer in layers if isinstance(layer, nn.Linear | Convolution)]
    try:
        encoder(x)
        # The encoder's output is behind it.
        decoder(code.detach().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _of_linear(layer: nn.Linear, x: Tensor, output: Tensor, has_input_gradient: bool, *, by_torch: bool) -> Product:
    x, gradient = x.flatten(0, -2), torch.randn_like(output).flatten(0, -2)
    weight = layer.weight.detach().to(x.dtype)
    y, to_weight, to_x = torch.empty_like(gradient), torch.empty_like(weight), torch.empty_like(x)

    def run_by_torch() -> None:
        torch.mm(x, weight.T, out=y)
        torch.mm(gradient.T, x, out=to_weight)
        if has_input_gradient:
            torch.mm(gradient, weight, out=to_x)

    def run_by_onednn() -> None:
        times_transposed(x, weight)
        weight_gradient(gradient, x)
        if has_input_gradient:
            times_transposed(gradient, weight.T)

    calls = 3 if has_input_gradient else 2
    run = run_by_onednn if is_onednns(x, weight) and not by_torch else run_by_torch
    return Product(run, 2 * calls * len(x) * weight.numel(), calls)


def _of_convolution(layer: Convolution, x: Tensor, output: Tensor, has_input_gradient: bool) -> Product:
    gradient = torch.randn_like(output)
    weight = layer.weight.detach().to(x.dtype)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    # Rest of the arguments in the order of torch.ops.aten.convolution.
    how = (layer.stride, layer.padding, layer.dilation, transposed, layer.output_padding, layer.groups)
    wanted = [has_input_gradient, True, False]

    def run() -> None:
        torch.ops.aten.convolution(x, weight, None, *how)
        torch.ops.aten.convolution_backward(gradient, x, weight, None, *how, wanted)

    places = (x if transposed else output)[0, 0].numel()
    calls = 3 if has_input_gradient else 2
    return Product(run, 2 * calls * len(x) * places * weight.numel(), calls)
