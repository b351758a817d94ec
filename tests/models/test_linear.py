"""Linear layers by oneDNN against the same in float64, and where they are torch's own."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hfvae_runner.models import linear
from hfvae_runner.models.linear import Linear, is_onednns

onednn = pytest.mark.skipif(not linear._HAS_ONEDNN, reason="needs oneDNN on an x86 processor")
# Sizes that oneDNN takes.
SIZES = [(300, 400, 100), (300, 100, 400), (4000, 33, 100)]


def layer_of(inputs: int, outputs: int, *, bias: bool = True, seed: int = 0) -> Linear:
    torch.manual_seed(seed)
    return Linear(inputs, outputs, bias=bias)


def results(layer: nn.Linear, x: Tensor) -> dict[str, Tensor]:
    """Output and gradients of a loss that weighs every output differently."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    output = layer(x)
    (output * torch.linspace(0.5, 1.5, output.numel(), dtype=x.dtype).view_as(output)).sum().backward()
    gradients = {
        name: each.grad.clone() for name, each in (("x", x), *layer.named_parameters()) if each.grad is not None
    }
    return {"output": output.detach(), **gradients}


@onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("batch", "inputs", "outputs"), SIZES)
def test_values_and_gradients_are_those_of_float64(batch: int, inputs: int, outputs: int, bias: bool) -> None:
    layer, x = layer_of(inputs, outputs, bias=bias), torch.randn(batch, inputs)
    assert is_onednns(x, layer.weight)
    found = results(layer, x)
    expected = results(layer.double(), x.double())
    assert found.keys() == expected.keys() == {"output", "x", "weight"} | ({"bias"} if bias else set())
    for name, value in expected.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name].double(), value, rtol=1e-4, atol=1e-5 * value.abs().max().item())


@onednn
def test_nothing_is_computed_for_what_has_no_gradient() -> None:
    layer, x = layer_of(400, 100), torch.randn(300, 400)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    with torch.no_grad():
        assert not layer(x).requires_grad


@onednn
def test_the_same_bits_each_time() -> None:
    layer, x = layer_of(400, 100), torch.randn(300, 400)
    first, second = results(layer, x), results(layer, x)
    assert all(torch.equal(first[name], second[name]) for name in first)


@onednn
@pytest.mark.parametrize(
    ("shape", "weight", "dtype"),
    [
        ((2, 300, 400), (100, 400), torch.float32),
        ((300, 400), (10, 400), torch.float32),
        ((8, 400), (4000, 400), torch.float32),
        ((64, 400), (200, 400), torch.float32),
        ((300, 400), (100, 400), torch.float64),
    ],
)
def test_torch_keeps_what_is_small_or_of_another_kind(
    shape: tuple[int, ...], weight: tuple[int, int], dtype: torch.dtype
) -> None:
    layer, x = layer_of(weight[1], weight[0]).to(dtype), torch.randn(shape, dtype=dtype)
    assert not is_onednns(x, layer.weight)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


@onednn
def test_autocast_stays_torch_s() -> None:
    layer, x = layer_of(400, 100), torch.randn(300, 400)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@onednn
@pytest.mark.parametrize("bias", [True, False])
def test_many_layers_at_once_are_each_by_itself(bias: bool) -> None:
    layers = [layer_of(400, 100, bias=bias, seed=seed) for seed in range(3)]
    x = torch.randn(3, 300, 400)
    parameters = {
        name: torch.stack([layer.get_parameter(name).detach() for layer in layers]).requires_grad_()
        for name, _ in layers[0].named_parameters()
    }
    outputs = torch.vmap(lambda own, x: functional_call(layers[0], own, (x,)))(parameters, x)
    outputs.square().sum().backward()
    for index, layer in enumerate(layers):
        layer.zero_grad()
        alone = layer(x[index])
        alone.square().sum().backward()
        torch.testing.assert_close(outputs[index], alone, rtol=1e-4, atol=1e-5)
        for name, stacked in parameters.items():
            assert stacked.grad is not None
            torch.testing.assert_close(stacked.grad[index], layer.get_parameter(name).grad, rtol=1e-4, atol=1e-3)


@onednn
def test_one_layer_over_many_inputs() -> None:
    layer, x = layer_of(400, 100), torch.randn(3, 300, 400)
    torch.testing.assert_close(torch.vmap(layer)(x), nn.functional.linear(x, layer.weight, layer.bias))


@onednn
def test_a_program_of_torch_compile_takes_it() -> None:
    layer, x = layer_of(400, 100), torch.randn(300, 400)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    expected = results(layer, x)
    layer.zero_grad()
    output = compiled(x)
    (output * torch.linspace(0.5, 1.5, output.numel()).view_as(output)).sum().backward()
    assert torch.equal(output, expected["output"])
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, expected["weight"])
    torch.library.opcheck(torch.ops.hfvae_runner.times_transposed.default, (x, layer.weight.detach(), None))
