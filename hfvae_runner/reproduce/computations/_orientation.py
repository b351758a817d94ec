"""Which projection of a square of positions a prior of independent factors prefers (ISA-VAE, Fig. 3).

The (x, y) positions of a sprite fill a square evenly. Turned by an angle and scaled to unit variance they are the
latents' values; the prior is a generalised normal distribution of unit variance. Shapes: N positions.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.latents.priors.generalised_normal import generalised_normal
from hfvae_runner.reproduce.statements import Statement

SIDE = 32
EXPONENTS = {"leptokurtic": 1.0, "normal": 2.0, "platykurtic": 8.0}
"""The paper names the Laplace distribution, p = 1, and no exponent of the platykurtic one."""
DIAGONAL, AXES = 45, 0
DEGREES = range(0, 50, 5)
_STANDARD = 1.0
_SCALES = (1.0, 0.8)
"""Standard deviations of the positions, of which each statement has a case."""


def positions(degrees: float, deviation: float = _STANDARD) -> Tensor:
    """The turned square, [N, 2]."""
    line = torch.linspace(-1, 1, SIDE, dtype=torch.float64)
    line = deviation * line / line.std(correction=0)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.cartesian_prod(line, line) @ torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def log_prior(z: Tensor, exponent: float) -> Tensor:
    """log p(z) of two independent factors of unit variance, [N]."""
    # The variance of exp(−|z|^p/s) is s^(2/p)·Γ(3/p)/Γ(1/p).
    scale = math.exp(exponent / 2 * (math.lgamma(1 / exponent) - math.lgamma(3 / exponent)))
    return generalised_normal(size=2, exponent=exponent, scale=scale, learned=False).double().log_prior("joint", [z])


def expected(exponent: float, degrees: float, deviation: float = _STANDARD) -> float:
    """Mean log p(z) of the turned square, nats per position."""
    return float(log_prior(positions(degrees, deviation), exponent).mean())


def statements() -> list[Statement]:
    """Return the statements of Fig. 3."""
    return [
        _preferred("leptokurtic", DIAGONAL, "the diagonal fits a leptokurtic prior best: E[log p(z)] at 45° > others"),
        _preferred("platykurtic", AXES, "the axes fit a platykurtic prior best: E[log p(z)] at 0° > others"),
        Statement(
            "a normal prior prefers no direction: E[log p(z)] at all angles and at 0°", "Sec. 3.1",
            _values("normal", DEGREES), _values("normal", [AXES] * len(DEGREES)), 1e-5,
        ),
    ]  # fmt: skip


def _values(kind: str, degrees: Sequence[int]) -> list[float]:
    return [expected(EXPONENTS[kind], each, deviation) for each in degrees for deviation in _SCALES]


def _preferred(kind: str, best: int, what: str) -> Statement:
    others = [each for each in DEGREES if each != best]
    return Statement(what, "Fig. 3", _values(kind, [best] * len(others)), _values(kind, others), 1e-4, "greater")
