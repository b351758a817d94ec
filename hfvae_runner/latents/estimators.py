"""Log-weights of the minibatch estimators of the aggregate posterior, log q̂(z_b) = log Σ_j exp(w_bj) q(z_b|x_j).

B: the batch's actual size. N: the size of the data set that the aggregate posterior averages over.
"""

import math

from hfvae_runner.config.names import Estimator
from hfvae_runner.distributions.mixture import Weights


def log_weights(estimator: Estimator, batch: int, n_data: int) -> Weights:
    """Return the log-weights w of sample b on component j, of B each; sample b was drawn from component b.

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
        return Weights.uniform(own - math.log(batch))
    if batch == 1:
        return Weights.uniform(own)
    others = batch - 1
    if estimator == "stratified":
        rest = math.log((n_data - 1) / (n_data * others))
        return Weights(rest=rest, own=own, following=rest)
    # At N = M the next one's weight would be 0; N >= B = M + 1 keeps it positive.
    return Weights(rest=-math.log(others), own=own, following=math.log((n_data - others) / (n_data * others)))
