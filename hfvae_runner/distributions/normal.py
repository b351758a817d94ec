"""The normal distribution with diagonal covariance, parametrised by mean and log standard deviation."""

import math
from typing import Any

import torch
from torch import Tensor

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def log_prob(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log N(z; mean, exp(log_scale)²), elementwise; the arguments broadcast. Nats."""
    return -0.5 * ((z - mean) * torch.exp(-log_scale)).square() - (log_scale + HALF_LOG_2PI)


class _Table(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, mean: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        precision = torch.exp(-log_scale)
        standardised = (z[:, None] - mean[None, :]).mul_(precision[None, :])
        table = torch.addcmul(-(log_scale + HALF_LOG_2PI)[None, :], standardised, standardised, value=-0.5)
        return table, standardised, precision

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, standardised, precision = output
        ctx.mark_non_differentiable(standardised, precision)
        ctx.save_for_backward(standardised, precision)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        standardised, precision = ctx.saved_tensors
        weighted = grads[0] * standardised
        grad_mean = precision * weighted.sum(0)
        grad_z = -(weighted @ precision)
        grad_log_scale = (weighted * standardised).sum(0) - grads[0].sum(0)
        return grad_z, grad_mean, grad_log_scale


def log_prob_table(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log N(z_s; mean_m, exp(log_scale_m)²) for every pair: z [S], mean and log_scale [M] -> [S, M].

    The unit is nats. The result equals that of ``log_prob``, with fewer passes over the table, which dominate the cost
    of an aggregate posterior.
    """
    table: Tensor = _Table.apply(z, mean, log_scale)[0]
    return table


def sample(mean: Tensor, log_scale: Tensor, noise: Tensor) -> Tensor:
    """Return the reparameterised sample mean + exp(log_scale)·noise, elementwise; ``noise`` is standard normal."""
    return mean + torch.exp(log_scale) * noise


def kl(mean: Tensor, log_scale: Tensor, other_mean: Tensor, other_log_scale: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_scale)²) ‖ N(other_mean, exp(other_log_scale)²)), elementwise, in nats."""
    ratio = log_scale - other_log_scale
    distance = ((mean - other_mean) * torch.exp(-other_log_scale)).square()
    return 0.5 * (torch.exp(2 * ratio) + distance - 1) - ratio


def kl_to_standard(mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_scale)²) ‖ N(0, 1)), elementwise, in nats (Kingma & Welling 2013, App. B)."""
    return 0.5 * (mean.square() + torch.exp(2 * log_scale) - 1) - log_scale
