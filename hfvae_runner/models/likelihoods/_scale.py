"""Likelihoods with a location and a scale, and where the scale comes from."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.models.likelihoods._likelihood import Likelihood

_WORDS = ("predicted", "learned")


class Scale(nn.Module):
    """log σ, from one of three sources.

    Args:
        scale: ``predicted``: the decoder's second output for each value; ``learned``: one number for all values,
            a parameter that starts at σ = 1; or a number, which is σ.

    Attributes:
        parameters_per_value: P, the decoder's outputs per value, the location among them.

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
        """log σ, [B, *] or one number, from raw [B, P, *]."""
        return raw[:, 1] if self.shared is None else self.shared

    def settings(self) -> dict[str, float]:
        """σ where it is one number."""
        if self._fixed is not None:
            return {"scale": self._fixed}
        return {} if self.shared is None else {"scale": math.exp(self.shared.item())}


class LocationScaleLikelihood(Likelihood):
    """Independent real values, each with a location from the decoder and a scale as in ``Scale``.

    Raises:
        ConfigError: the scale is not one that ``Scale`` knows.
    """

    support = "real"

    def __init__(self, *, scale: float | str) -> None:
        super().__init__()
        self.scale = Scale(scale)
        self.parameters_per_value = self.scale.parameters_per_value

    @abstractmethod
    def log_density(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        """log p of each value, elementwise; the arguments broadcast. Nats."""

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return self.log_density(x, raw[:, 0], self.scale(raw)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[:, 0]

    def settings(self) -> dict[str, float]:
        return self.scale.settings()
