"""The total correlation of the aggregate posterior, KL(q(z) ‖ Π_d q(z_d)) (HFVAE Eq. 3; β-TCVAE Eq. 2, ii).

It does not depend on the prior: it equals group_tc + within_tc only if the prior factorises.
"""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def total_correlation(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return log q(z) − Σ_d log q(z_d) per example, [B], in nats."""
    return evidence.log_qz("joint", blocks) - evidence.log_qz("factor", blocks).sum(1)
