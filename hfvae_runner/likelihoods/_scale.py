"""The scale of a likelihood with a location and a scale."""

import math

import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError, nearest

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
