"""The Triton kernels: interpreted on the CPU, compiled without a GPU, and on one against the CPU's own results."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from gpus import needs_gpu
from torch import Tensor

from hfvae_runner.config.names import Level
from hfvae_runner.distributions.fused_mixture import Categories, Factors, Normals, Product
from hfvae_runner.distributions.mixture import Weights

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="torch came without Triton")
old_interpreter = pytest.mark.skipif(
    find_spec("triton") is not None and version("triton").startswith("3.6.") and version("numpy") >= "2.4",
    reason="Triton 3.6 interprets with NumPy up to 2.3",
)

LEVELS: tuple[Level, ...] = ("joint", "block", "factor")
WEIGHTS = Weights(rest=-1.0, own=-2.5, following=0.5)


@pytest.mark.slow
@needs_triton
@old_interpreter
def test_interpreted_kernels_give_what_tables_give() -> None:
    program = Path(__file__).with_name("interpreted.py")
    variables = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, env=variables)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Case(") == 8


class Absent:
    """What Triton asks of a GPU in order to compile for it."""

    def __init__(self, capability: int) -> None:
        from triton.backends.compiler import GPUTarget

        self.capability = capability
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        return self.target


@needs_triton
@pytest.mark.parametrize("capability", [pytest.param(75, marks=pytest.mark.slow), 90])
def test_every_kernel_compiles(capability: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As launched, with sizes that are multiples of 16, for which the code is another."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    from hfvae_runner.distributions import _triton_mixture

    compiled: dict[str, bytes] = {}
    run = JITFunction.run

    def compile_only(self: Any, *inputs: Any, **options: Any) -> None:
        compiled[self.fn.__name__] = run(self, *inputs, **{**options, "warmup": True}).asm["cubin"]

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", Absent(capability))
    monkeypatch.setattr(JITFunction, "run", compile_only)
    z, components, log_probs = torch.zeros(2, 64, 3), torch.zeros(2, 3, 64), torch.zeros(2, 5, 64)
    index = torch.zeros(2, 64, 1, dtype=torch.int64)
    blocks = [0, 3, 0, 0, 3, 3, 0, 1]
    given = _triton_mixture.Mixture(z, components, components, components, index, log_probs, blocks, -0.5, 0.5)
    peak, total = _triton_mixture.mixture(given)
    assert peak.shape == total.shape == (2, 64, 7)
    _triton_mixture.mixture_backward(given, peak, total)
    assert compiled.keys() == {"totals", "to_samples", "to_normals", "to_categories"}
    assert all(code.startswith(b"\x7fELF") for code in compiled.values())


def leaves_of(seed: int, samples: int, components: int, device: str = "cpu") -> list[Tensor]:
    """A block of three normals, one of five categories, one normal: samples, parameters, in this order."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    parts = [
        *(random(samples, 3), random(components, 3), random(components, 3) / 2),
        torch.log_softmax(random(components, 5), 1),
        *(random(samples, 1), random(components, 1), random(components, 1) / 2),
    ]
    return [part.to(device).requires_grad_() for part in parts]


def results(leaves: Sequence[Tensor], weights: Weights = WEIGHTS) -> list[Tensor]:
    """All levels, and the gradients of something of all of them."""
    category = torch.arange(len(leaves[0]), device=leaves[0].device) % 5
    blocks: list[Factors] = [Normals(*leaves[:3]), Categories(category, leaves[3]), Normals(*leaves[4:])]
    product = Product(blocks, weights)
    values = [product.log_prob(level) for level in LEVELS]
    total = torch.stack([value.square().mean() for value in values]).sum()
    return [*(value.detach() for value in values), *torch.autograd.grad(total, list(leaves))]


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=5e-5, atol=5e-5 * max(1e-3, other.abs().max().item()))


@needs_gpu
@pytest.mark.parametrize(("samples", "components"), [(1, 1), (70, 70), (500, 131), (2048, 2048)])
def test_a_gpu_gives_what_the_cpu_gives(samples: int, components: int) -> None:
    weights = WEIGHTS if samples <= components else Weights.uniform(-0.5)
    on_cpu, on_gpu = (results(leaves_of(0, samples, components, device), weights) for device in ("cpu", "cuda"))
    assert all(each.is_cuda for each in on_gpu)
    assert_close(on_gpu, on_cpu)


@needs_gpu
def test_many_at_once_on_a_gpu() -> None:
    many = [leaves_of(seed, 70, 70, "cuda") for seed in range(3)]
    stacked = [torch.stack(each).detach().requires_grad_() for each in zip(*many, strict=True)]
    category = torch.arange(70, device="cuda") % 5

    def joint(*leaves: Tensor) -> Tensor:
        blocks: list[Factors] = [Normals(*leaves[:3]), Categories(category, leaves[3]), Normals(*leaves[4:])]
        return Product(blocks, WEIGHTS).log_prob("joint")

    found = torch.vmap(joint)(*stacked)
    gradients = torch.autograd.grad(found.square().sum(), stacked)
    for r, leaves in enumerate(many):
        alone = joint(*leaves)
        assert_close([found[r]], [alone.cpu()])
        own = torch.autograd.grad(alone.square().sum(), leaves)
        assert_close([each[r] for each in gradients], [each.cpu() for each in own])


@needs_gpu
def test_two_runs_on_a_gpu_agree_to_the_bit() -> None:
    first, second = (results(leaves_of(0, 1000, 1000, "cuda")) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@needs_gpu
def test_a_captured_graph_computes_anew() -> None:
    leaves = leaves_of(0, 200, 200, "cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        results(leaves)  # compiles
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = results(leaves)
    others = leaves_of(1, 200, 200, "cuda")
    with torch.no_grad():
        for leaf, other in zip(leaves, others, strict=True):
            leaf.copy_(other)
    graph.replay()
    assert all(torch.equal(*pair) for pair in zip(captured, results(others), strict=True))
