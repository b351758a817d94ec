"""What every likelihood is.

Shapes, here and in the families: B batch; * the shape of one example; P decoder outputs per value of x.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from hfvae_runner.config.names import Values


class Likelihood(nn.Module, ABC):
    """p(x|z) of one example, given the decoder's output.

    Attributes:
        name: its choice in the group ``likelihood``.
        support: the values that it is a likelihood of.
        parameters_per_value: P.
    """

    name: ClassVar[str]
    support: ClassVar[Values]
    parameters_per_value: int = 1

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def fits(cls, values: Values) -> bool:
        """Return whether it can score such values: a density over all real numbers scores those from 0 to 1, too."""
        return values == cls.support or (cls.support, values) == ("real", "unit_interval")

    @abstractmethod
    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        """log p(x|z), summed over the example's values: x [B, *], raw [B, P, *] -> [B], nats."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """E[x|z], for figures: raw [B, P, *] -> [B, *]."""

    def settings(self) -> dict[str, float]:
        """Return its numbers beside the decoder's, fixed or learned, for metrics.json."""
        return {}
