"""Parameters of priors, learned or fixed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hfvae_runner.errors import ConfigError


class Bounded(nn.Module):
    """Fixed numbers, or learned numbers bound + softplus(raw), which stay above the bound during training.

    Args:
        key: their name in the config, for messages.
        value: one number or several; the initial values if learned.
        learned: whether the numbers are trained.
        bound: lower bound of learned numbers.

    Raises:
        ConfigError: the initial value of a learned number is not above the bound.
    """

    raw: Tensor
    fixed: Tensor

    def __init__(self, key: str, value: float | Sequence[float], *, learned: bool, bound: float) -> None:
        super().__init__()
        self.learned = learned
        self.bound = bound
        start = torch.tensor(value, dtype=torch.float64)
        if not learned:
            self.register_buffer("fixed", start.float())
            return
        if not bool((start > bound).all()):
            raise ConfigError(f"{key}={value!r}: expected a start above {bound:g}, which the learned one stays above")
        excess = start - bound
        # Inverse of softplus, in a form that does not overflow.
        self.raw = nn.Parameter((excess + torch.log(-torch.expm1(-excess))).float())

    def forward(self) -> Tensor:
        """Return the numbers, in the shape of ``value``."""
        return self.bound + softplus(self.raw) if self.learned else self.fixed


def plain(values: Tensor) -> float | list[float]:
    """Return a scalar or vector as a float or a list for JSON, rounded to the seven digits of single precision."""
    numbers = values.detach().double().cpu()
    if numbers.ndim == 0:
        return float(f"{numbers.item():.7g}")
    return [float(f"{number:.7g}") for number in numbers.tolist()]
