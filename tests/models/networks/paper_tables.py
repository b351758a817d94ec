"""What the tests of the papers' tables share: a network as its table prints it, and the parameters that follow."""

from collections.abc import Iterator

import torch
from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.networks import Networks

_ACTIVATIONS = {
    nn.ReLU: "ReLU",
    nn.Tanh: "Tanh",
    nn.Softplus: "Softplus",
    nn.Softmax: "Softmax",
    nn.BatchNorm1d: "BatchNorm",
    nn.BatchNorm2d: "BatchNorm",
}
_SHAPING = (nn.Flatten, nn.Unflatten, nn.Identity)


def printed(network: nn.Module) -> list[str]:
    """Its layers in the order of the forward pass, such as ``conv 4/2 32``: kernel, stride and output channels."""
    return list(_rows(network))


def _rows(network: nn.Module) -> Iterator[str]:
    for layer in network.modules():
        match layer:
            case nn.Linear():
                yield f"FC {layer.out_features}"
            case nn.ConvTranspose2d():
                yield f"upconv {layer.kernel_size[0]}/{layer.stride[0]} {layer.out_channels}"
            case nn.Conv2d():
                yield f"conv {layer.kernel_size[0]}/{layer.stride[0]} {layer.out_channels}"
            case nn.LeakyReLU():
                yield f"LeakyReLU {layer.negative_slope}"
            case nn.Dropout():
                yield "Dropout"
            case _ if type(layer) in _ACTIVATIONS:
                yield _ACTIVATIONS[type(layer)]
            case _:
                assert isinstance(layer, _SHAPING) or list(layer.children()), f"{layer} is in no table"


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def fc(inputs: int, outputs: int) -> int:
    """Weights and biases."""
    return inputs * outputs + outputs


def conv(inputs: int, outputs: int, kernel: int = 4) -> int:
    """Weights and biases, of a transposed convolution too."""
    return inputs * outputs * kernel**2 + outputs


def norm(*features: int) -> int:
    """Scale and shift of batch normalisations, in the place of the biases of the layers in front of them."""
    return sum(features)


def check_shapes(networks: Networks, input_shape: tuple[int, ...], latents: Latents, per_value: int = 1) -> None:
    """Encoder and decoder fit the data, the latents and the likelihood, and every parameter takes part."""
    torch.manual_seed(0)
    raw = networks.encoder(torch.rand(3, *input_shape))
    assert raw.shape == (3, sum(block.n_parameters for block in latents.blocks))
    decoded = networks.decoder(torch.randn(3, latents.n_code))
    assert decoded.shape == (3, per_value, *input_shape)
    (raw.square().sum() + decoded.square().sum()).backward()  # type: ignore[no-untyped-call]
    for network in (networks.encoder, networks.decoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
