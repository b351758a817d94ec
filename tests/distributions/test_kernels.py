import subprocess
import sys


def test_torch_keeps_its_number_of_threads() -> None:
    """numba's first call sets OpenMP's number, which torch reads: in a process of its own, since it is the first."""
    program = """
import torch
from hfvae_runner.distributions import fused_bernoulli
torch.set_num_threads(1)
fused_bernoulli.log_prob(torch.zeros(2, 3), torch.zeros(2, 3))
print(torch.get_num_threads())
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said == "1\n"
