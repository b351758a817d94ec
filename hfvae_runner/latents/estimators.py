"""Log-weights of the minibatch estimators of the aggregate posterior, log q̂(z_b) = log Σ_j exp(w_bj) q(z_b|x_j).

B: the actual batch size. N: the size of the data set over which the aggregate posterior averages.
"""

import math

from hfvae_runner.config.names import Estimator
from hfvae_runner.distributions.mixture import Weights


def log_weights(estimator: Estimator, batch: int, n_data: int) -> Weights:
    """Return the log-weights w_bj of B samples and B components, where sample b was drawn from component b.

    The weights exp(w_bj) are:

    - ``stratified`` (HFVAE Eq. 6): 1/N for the own component, (N−1)/(N(B−1)) for every other one. Unbiased for q(z).
    - ``mws`` (β-TCVAE Eq. 3): 1/(N·B) for all. A row sums to 1/N, so log q̂ is shifted; only its gradients are useful.
    - ``mss`` (β-TCVAE App. C.2): 1/N for the own component, (N−M)/(N·M) for the next, 1/M for the others, with M = B−1.

    Raises:
        ValueError: B = 1 and N > 1 (no component represents the other examples), or B > N.
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
    # The next component's weight would be 0 at N = M. It is positive because N >= B = M + 1.
    return Weights(rest=-math.log(others), own=own, following=math.log((n_data - others) / (n_data * others)))
