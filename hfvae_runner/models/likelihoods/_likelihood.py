"""The base class of the likelihoods.

Shapes, also in the families: B batch; * the shape of one example; P decoder outputs per value of x.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from hfvae_runner.config.names import Values


class Likelihood(nn.Module, ABC):
    """Likelihood p(x|z), with parameters from the decoder's output.

    Attributes:
        name: the name in the config group ``likelihood``.
        support: the kind of values on which it is a distribution.
        parameters_per_value: P.
    """

    name: ClassVar[str]
    support: ClassVar[Values]
    parameters_per_value: int = 1

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def fits(cls, values: Values) -> bool:
        """Return whether the likelihood is defined for such values; a density on the reals also covers [0, 1]."""
        return values == cls.support or (cls.support, values) == ("real", "unit_interval")

    @abstractmethod
    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        """Return log p(x|z) summed over the example's values: x [B, *], raw [B, P, *] -> [B], in nats."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Return E[x|z], for figures: raw [B, P, *] -> [B, *]."""

    def settings(self) -> dict[str, float]:
        """Return the likelihood's own parameters, fixed or learned, for metrics.json."""
        return {}
