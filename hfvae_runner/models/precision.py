"""In which arithmetic the products of matrices are taken; densities, sums and parameters are float32 throughout."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from hfvae_runner.config.names import Precision
from hfvae_runner.errors import ConfigError

_OLDEST = 8  # compute capability of the first NVIDIA GPUs with tf32 and bf16


def check(precision: Precision, device: torch.device) -> None:
    """Raises ConfigError where the device lacks the arithmetic."""
    if precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"precision=tf32: device {device} has no such arithmetic; expected fp32 or bf16")
    if precision != "fp32" and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < _OLDEST:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"precision={precision}: {name} has no such arithmetic; expected fp32")


def networks_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Where an encoder or decoder runs: with ``bf16`` its products, and what they give, are bfloat16 (autocast)."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def step_in(precision: Precision) -> Iterator[None]:
    """Where forward and backward pass run: with ``tf32`` a GPU rounds the factors of every product to 10 bits.

    Outside, and with the other precisions, float32 products are exact ones, convolutions included (for which a GPU
    would else take tf32 of itself).
    """
    _round(precision == "tf32")
    try:
        yield
    finally:
        _round(False)


def _round(rounded: bool) -> None:
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
