"""A decoder as a list of plain layers, which the page's script computes like torch.

Shapes: B codes; C, H, W channels, height and width of a layer's input; I inputs and O outputs; K the kernel's side.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.vae import VAE

Kind = Literal["linear", "conv_transpose", "relu", "tanh", "sigmoid"]
Link = Literal["identity", "sigmoid", "continuous_bernoulli"]
"""From the decoder's output to E[x|z]."""

_LINKS: Mapping[str, Link] = {
    "bernoulli": "sigmoid",
    "continuous_bernoulli": "continuous_bernoulli",
    "gaussian": "identity",
    "laplace": "identity",
}
_NORMALISED = (nn.BatchNorm1d, nn.BatchNorm2d)
_WITHOUT_EFFECT = (nn.Dropout, nn.Identity, nn.Flatten, nn.Unflatten)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: of the layer.
        weight: [O, I] of a linear layer, [I, O, K, K] of a transposed convolution; None for an activation.
        bias: [O].
        shape: (C, H, W) of a transposed convolution's input.
        stride, padding, output_padding: of a transposed convolution.
        slope: of a ReLU below 0.
    """

    kind: Kind
    weight: Tensor | None = None
    bias: Tensor | None = None
    shape: tuple[int, ...] = ()
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    slope: float = 0.0

    def settings(self) -> dict[str, object]:
        """Return what the script must know of the layer, without its weights."""
        if self.weight is None:
            return {"kind": self.kind, "slope": self.slope}
        own: dict[str, object] = {"kind": self.kind, "weight": list(self.weight.shape)}
        if self.kind == "conv_transpose":
            geometry = {"stride": self.stride, "padding": self.padding, "outputPadding": self.output_padding}
            own |= {"shape": list(self.shape), **geometry}
        return own

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the layer, [B, I] or [B, C·H·W] -> [B, *]."""
        match self.kind:
            case "linear":
                assert self.weight is not None
                return functional.linear(x.flatten(1), self.weight, self.bias)
            case "conv_transpose":
                assert self.weight is not None
                geometry = (self.stride, self.padding, self.output_padding)
                return functional.conv_transpose2d(x.view(-1, *self.shape), self.weight, self.bias, *geometry)
            case "relu":
                return functional.leaky_relu(x, self.slope)
            case "tanh":
                return torch.tanh(x)
            case "sigmoid":
                return torch.sigmoid(x)


def link_of(likelihood: Likelihood) -> Link | None:
    """Return the link of a built-in likelihood of pixels, or None."""
    own = type(likelihood).__module__.startswith("hfvae_runner.")
    return _LINKS.get(likelihood.name) if own else None


@torch.no_grad()
def layers_of(model: VAE) -> list[Layer] | None:
    """Return the decoder's layers, batch normalisation folded into the layer before it; on the CPU.

    None if it has modules of other kinds, or ones that are connected otherwise.
    """
    if not isinstance(model.decoder, nn.Sequential):
        return None
    layers: list[Layer] = []
    x = torch.zeros(1, model.latents.n_code, device=next(model.parameters()).device)
    for module in _flat(model.decoder):
        if isinstance(module, _NORMALISED):
            if not layers or layers[-1].weight is None:
                return None
            layers[-1] = _folded(layers[-1], module)
        elif not isinstance(module, _WITHOUT_EFFECT):
            layer = _layer(module, tuple(x.shape[1:]))
            if layer is None:
                return None
            layers.append(layer)
        x = module(x)
    return layers


def computed(layers: Sequence[Layer], code: Tensor) -> Tensor:
    """Compute the layers, [B, Σ C_g] -> [B, *]."""
    for layer in layers:
        code = layer(code)
    return code


def halved(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with their numbers rounded to 16 bits, as float32."""
    return [
        replace(layer, weight=_rounded(layer.weight), bias=_rounded(layer.bias)) if layer.weight is not None else layer
        for layer in layers
    ]


def numbers(layers: Sequence[Layer]) -> list[Tensor]:
    """Return all weights and biases, in the order in which the script reads them."""
    return [each.flatten() for layer in layers for each in (layer.weight, layer.bias) if each is not None]


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    if type(module) is nn.Sequential:
        for child in module:
            yield from _flat(child)
    else:
        yield module


def _layer(module: nn.Module, shape: tuple[int, ...]) -> Layer | None:
    match module:
        case nn.Linear():
            return Layer("linear", _own(module.weight), _bias(module.bias, module.out_features))
        case nn.ConvTranspose2d() if module.groups == 1 and module.dilation == (1, 1) and _is_square(module):
            geometry = (module.stride[0], int(module.padding[0]), module.output_padding[0])
            bias = _bias(module.bias, module.out_channels)
            return Layer("conv_transpose", _own(module.weight), bias, shape, *geometry)
        case nn.ReLU():
            return Layer("relu")
        case nn.LeakyReLU():
            return Layer("relu", slope=module.negative_slope)
        case nn.Tanh():
            return Layer("tanh")
        case nn.Sigmoid():
            return Layer("sigmoid")
    return None


def _is_square(module: nn.ConvTranspose2d) -> bool:
    sides = (module.kernel_size, module.stride, module.padding, module.output_padding)
    return all(side[0] == side[1] for side in sides)


def _folded(layer: Layer, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Layer:
    """Return the layer with a batch normalisation behind it, as it is in evaluation mode."""
    assert layer.weight is not None and layer.bias is not None
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt().cpu()
    shift = -norm.running_mean.cpu() * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.cpu(), shift * norm.weight.cpu()
    if norm.bias is not None:
        shift = shift + norm.bias.cpu()
    by_output = scale[:, None] if layer.kind == "linear" else scale[:, None, None]
    return replace(layer, weight=layer.weight * by_output, bias=layer.bias * scale + shift)


def _own(values: Tensor) -> Tensor:
    return values.detach().float().cpu().clone()


def _bias(bias: Tensor | None, outputs: int) -> Tensor:
    return torch.zeros(outputs) if bias is None else _own(bias)


def _rounded(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.half().float()
