"""The Concrete (Gumbel-softmax) distribution, a relaxed categorical (Maddison et al. 2017; JointVAE Eq. 8).

Samples are represented as log y, with y on the simplex, and densities are with respect to log y (the ExpConcrete
distribution of Maddison et al., App. C.3). A ratio of two such densities equals the ratio of the densities of y, so no
information quantity depends on this choice, and no y underflows to 0.
"""

import math

import torch
from torch import Tensor


def log_sample(logits: Tensor, gumbel: Tensor, temperature: float) -> Tensor:
    """Return log y of the relaxed sample y = softmax((logits + gumbel) / temperature), [..., K] (JointVAE Eq. 8)."""
    return torch.log_softmax((logits + gumbel) / temperature, dim=-1)


def hard_log_sample(logits: Tensor, gumbel: Tensor) -> Tensor:
    """Return log y of a categorical sample, [..., K], by the Gumbel-max trick: 0 at the drawn category, else −inf."""
    drawn = (logits + gumbel).argmax(-1, keepdim=True)
    categories, zero = torch.arange(logits.shape[-1], device=logits.device), logits.new_zeros(())
    return torch.where(categories == drawn, zero, zero - math.inf)


def log_prob(log_y: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """Return the ExpConcrete log-density of log y: log_y [..., K], logits broadcast to it -> [...]. Nats.

    It is log (K−1)! + (K−1) log λ + Σ_k (log α_k − λ log y_k) − K log Σ_k α_k y_k^−λ, where λ is the temperature and
    α = softmax(logits).
    """
    categories = log_y.shape[-1]
    scores = torch.log_softmax(logits, dim=-1) - temperature * log_y
    constant = math.lgamma(categories) + (categories - 1) * math.log(temperature)
    return constant + scores.sum(-1) - categories * torch.logsumexp(scores, dim=-1)


def gumbel_noise(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return standard Gumbel noise −log(−log u) of the given shape, drawn on the generator's device."""
    # −log u is a standard exponential variable. It is drawn directly, so that u = 0 cannot occur.
    exponential = torch.empty(shape, device=generator.device, dtype=dtype).exponential_(generator=generator)
    return -exponential.clamp_min(torch.finfo(dtype).tiny).log()
