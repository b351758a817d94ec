"""The continuous Bernoulli distribution on [0, 1], density ∝ λ^x·(1−λ)^(1−x), parametrised by the logit η of λ.

Source: Loaiza-Ganem & Cunningham 2019. Unlike the Bernoulli, it is a normalised likelihood for grey values.
"""

import torch
from torch import Tensor

# For |η| below this, a series replaces the closed forms, which are differences of large numbers there. The first
# omitted term of the series is 2e-14 or less.
_SMALL = 0.3


def log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """Return x·η − softplus(η) + log C(η) with C(η) = η / tanh(η/2), elementwise.

    The unit is nats. It is a log-density, so it may be above 0.
    """
    small = logits.abs() < _SMALL
    # −softplus(η) + log C(η) = −η/2 − log(sinh(η/2) / (η/2)), and the last term is even in η.
    y = torch.where(small, logits, 0.0).square()
    log_sinhc = y * (1 / 24 - y * (1 / 2880 - y * (1 / 181440 - y / 9676800)))
    large = torch.where(small, 1.0, logits)
    size = large.abs()
    # log C is the negative log of the integral of e^(η·x) over [0, 1], here divided by e^max(η, 0).
    log_integral = torch.log(-torch.expm1(-size) / size)
    return torch.where(small, (x - 0.5) * logits - log_sinhc, x * large - large.clamp_min(0) - log_integral)


def mean(logits: Tensor) -> Tensor:
    """Return E[x] = 1/(1 − e^−η) − 1/η, elementwise, between 0 and 1, and 1/2 at η = 0. It differs from λ."""
    small = logits.abs() < _SMALL
    near = torch.where(small, logits, 0.0)
    y = near.square()
    series = 0.5 + near * (1 / 12 - y * (1 / 720 - y * (1 / 30240 - y / 1209600)))
    size = torch.where(small, 1.0, logits.abs())
    upper = -1 / torch.expm1(-size) - 1 / size
    return torch.where(small, series, torch.where(logits < 0, 1 - upper, upper))
