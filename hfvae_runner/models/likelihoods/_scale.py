"""Likelihoods with a location and a scale, and the sources of the scale."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.models.likelihoods._likelihood import Likelihood

_WORDS = ("predicted", "learned")


class Scale(nn.Module):
    """Log scale log σ from one of three sources.

    Args:
        scale: ``predicted``: the decoder's second output for each value; ``learned``: one trained number for all
            values, initially σ = 1; or a number above 0, which is σ.

    Attributes:
        parameters_per_value: P, the number of decoder outputs per value: 1 (location), or 2 if the scale is predicted.

    Raises:
        ConfigError: the scale is none of these.
    """

    shared: Tensor | None

    def __init__(self, scale: float | str) -> None:
        super().__init__()
        self.parameters_per_value = 2 if scale == "predicted" else 1
        self._fixed: float | None = None
        if scale == "predicted":
            self.shared = None
        elif scale == "learned":
            self.shared = nn.Parameter(torch.zeros(()))
        elif isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale < math.inf:
            self._fixed = float(scale)
            self.register_buffer("shared", torch.tensor(math.log(scale)), persistent=False)
        else:
            raise ConfigError(
                f"likelihood.scale={scale!r}: expected predicted, learned or a number above 0{nearest(scale, _WORDS)}"
            )

    def forward(self, raw: Tensor) -> Tensor:
        """Return log σ for raw [B, P, *]: [B, *] if predicted, otherwise a scalar."""
        return raw[:, 1] if self.shared is None else self.shared

    def settings(self) -> dict[str, float]:
        """Return σ as ``scale`` if it is one number for all values, otherwise an empty dictionary."""
        if self._fixed is not None:
            return {"scale": self._fixed}
        return {} if self.shared is None else {"scale": math.exp(self.shared.item())}


class LocationScaleLikelihood(Likelihood):
    """Likelihood of independent real values, each with a location from the decoder and a scale as in ``Scale``.

    Raises:
        ConfigError: ``Scale`` does not accept the scale.
    """

    support = "real"

    def __init__(self, *, scale: float | str) -> None:
        super().__init__()
        self.scale = Scale(scale)
        self.parameters_per_value = self.scale.parameters_per_value

    @abstractmethod
    def log_density(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        """Return log p of each value in nats, elementwise. The arguments are broadcast."""

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return self.log_density(x, raw[:, 0], self.scale(raw)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[:, 0]

    def settings(self) -> dict[str, float]:
        return self.scale.settings()
