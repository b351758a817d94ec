"""Numbers that a prior learns or holds fixed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hfvae_runner.errors import ConfigError


class Bounded(nn.Module):
    """Numbers above a bound: fixed, or learned as bound + softplus(raw), which optimisation cannot carry over it.

    Args:
        key: the config's name for them, for messages.
        value: one number or several; where learned, the start.
        learned: whether they are trained.
        bound: what learned ones stay above.

    Raises:
        ConfigError: a learned one starts at its bound or below.
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
        # The inverse of softplus, without an exponential that could overflow.
        self.raw = nn.Parameter((excess + torch.log(-torch.expm1(-excess))).float())

    def forward(self) -> Tensor:
        """Return the numbers, of the shape in which they were given."""
        return self.bound + softplus(self.raw) if self.learned else self.fixed


def plain(values: Tensor) -> float | list[float]:
    """Return a number or a vector for JSON, to the seven digits that single precision holds."""
    numbers = values.detach().double().cpu()
    if numbers.ndim == 0:
        return float(f"{numbers.item():.7g}")
    return [float(f"{number:.7g}") for number in numbers.tolist()]
