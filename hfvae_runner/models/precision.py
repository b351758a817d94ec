"""The arithmetic of matrix products. Densities, sums and parameters are always float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from hfvae_runner.config.names import Precision
from hfvae_runner.errors import ConfigError

_OLDEST = 8  # compute capability of the first NVIDIA GPUs with tf32 and bf16


def check(precision: Precision, device: torch.device) -> None:
    """Raise ConfigError if the device does not support the arithmetic."""
    if precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"precision=tf32: device {device} has no such arithmetic; expected fp32 or bf16")
    if precision != "fp32" and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < _OLDEST:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"precision={precision}: {name} has no such arithmetic; expected fp32")


def networks_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context for an encoder or decoder; with ``bf16``, products and results are bfloat16 (autocast)."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def step_in(precision: Precision) -> Iterator[None]:
    """Set the arithmetic of the forward and backward pass.

    With ``tf32``, a GPU rounds the factors of every product to 10 bits. Outside of the context, and with the
    other precisions, float32 products have full precision. This includes convolutions, for which a GPU uses tf32 by
    default.
    """
    _round(precision == "tf32")
    try:
        yield
    finally:
        _round(False)


def _round(rounded: bool) -> None:
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
