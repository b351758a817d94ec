"""What a process makes of the kernels: in processes of their own, since it is the first call that counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def said(program: str, **variables: str) -> str:
    """What a program prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **variables}).stdout


def test_torch_keeps_its_number_of_threads() -> None:
    """numba's first call sets OpenMP's number, which torch reads."""
    program = """
import torch
from hfvae_runner.distributions import fused_bernoulli
torch.set_num_threads(1)
fused_bernoulli.log_prob(torch.zeros(2, 3), torch.zeros(2, 3))
print(torch.get_num_threads())
"""
    assert said(program) == "1\n"


@pytest.mark.slow
def test_code_from_the_disk_rounds_like_code_just_compiled(tmp_path: Path) -> None:
    program = """
import hashlib, torch
from hfvae_runner.distributions import fused_bernoulli
from hfvae_runner.distributions.fused_mixture import Categories, Normals, Product
from hfvae_runner.distributions.mixture import Weights
generator = torch.Generator().manual_seed(0)
x, logits = torch.rand(64, 70, generator=generator), 3 * torch.randn(64, 70, generator=generator)
parts = [torch.randn(64, 5, generator=generator).requires_grad_() for _ in range(3)]
results = [fused_bernoulli.log_prob(x, logits)]
categories = [torch.randint(3, (64,), generator=generator), torch.randn(64, 3, generator=generator)]
for level in ("joint", "block", "factor"):
    blocks = [Normals(*parts), Categories(*categories)]
    value = Product(blocks, Weights(-1.0, -2.0, -0.5)).log_prob(level)
    results += [value.detach(), *torch.autograd.grad(value.square().sum(), parts)]
print([hashlib.sha256(each.numpy().tobytes()).hexdigest() for each in results])
"""
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = said(program, **folder)
    assert list(tmp_path.rglob("*.nbc"))
    assert said(program, **folder) == first
