"""The matrix products of a training step alone, a lower bound on the time of any step of the same networks.

For each linear layer these are the output, the weight gradient and the input gradient, by oneDNN where our own layers
use it, else by ``torch.mm`` into existing memory; for each convolution, its forward and backward calls. All tensors
have the networks' sizes, types and layouts. The input gradient of a layer that reads the data is not computed. A
multiplication and an addition count as two operations.
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
        run: computes all products.
        operations: the number of floating-point operations.
        calls: the number of products.
    """

    run: Callable[[], None]
    operations: int
    calls: int


def products(
    encoder: nn.Module, decoder: nn.Module, x: Tensor, code: Tensor, dtype: torch.dtype, *, by_torch: bool = False
) -> list[Product]:
    """Return the products of one step on a batch.

    Args:
        encoder: reads ``x``.
        decoder: reads ``code``.
        x: examples as floats, [B, *].
        code: [B, Σ C_g].
        dtype: the products' type: float32, or bfloat16 under autocast.
        by_torch: whether torch's own products are used for all layers.
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
        # The code requires a gradient, since it depends on the encoder's output.
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
    # The remaining arguments, in the order of torch.ops.aten.convolution.
    how = (layer.stride, layer.padding, layer.dilation, transposed, layer.output_padding, layer.groups)
    wanted = [has_input_gradient, True, False]

    def run() -> None:
        torch.ops.aten.convolution(x, weight, None, *how)
        torch.ops.aten.convolution_backward(gradient, x, weight, None, *how, wanted)

    places = (x if transposed else output)[0, 0].numel()
    calls = 3 if has_input_gradient else 2
    return Product(run, 2 * calls * len(x) * places * weight.numel(), calls)
