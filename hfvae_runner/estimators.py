"""Log-weights of the minibatch estimators of the aggregate posterior, log q̂(z_b) = log Σ_j exp(w_bj) q(z_b|x_j).

B: the batch's actual size. N: the size of the data set that the aggregate posterior averages over.
"""

import math

import torch
from torch import Tensor

from hfvae_runner.vocabulary import Estimator


def log_weights(estimator: Estimator, batch: int, n_data: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The log-weights w [B, B] of sample b (rows) on component j (columns); sample b was drawn from component b.

    - ``stratified`` (HFVAE Eq. 6): the own component 1/N, every other one (N−1)/(N(B−1)). Unbiased for q(z).
    - ``mws`` (β-TCVAE Eq. 3): 1/(N·B) everywhere. Its rows sum to 1/N, so log q̂ stays shifted: it serves gradients.
    - ``mss`` (β-TCVAE App. C.2): the own component 1/N, the next one (N−M)/(N·M), all others 1/M, with M = B−1.

    Raises:
        ValueError: a batch of one of several examples (nothing stands for the others), or more than the data set.
    """
    if batch > n_data or (batch == 1 and n_data > 1):
        raise ValueError(f"a batch of {batch} cannot stand for a data set of {n_data}")
    own = -math.log(n_data)
    if estimator == "mws":
        return torch.full((batch, batch), own - math.log(batch), device=device, dtype=dtype)
    if batch == 1:
        return torch.full((1, 1), own, device=device, dtype=dtype)
    others = batch - 1
    if estimator == "stratified":
        weights = torch.full((batch, batch), math.log((n_data - 1) / (n_data * others)), device=device, dtype=dtype)
    else:
        weights = torch.full((batch, batch), -math.log(others), device=device, dtype=dtype)
        rows = torch.arange(batch, device=device)
        # At N = M this one's weight would be 0; N >= B = M + 1 keeps it positive.
        weights[rows, (rows + 1) % batch] = math.log((n_data - others) / (n_data * others))
    return weights.fill_diagonal_(own)
