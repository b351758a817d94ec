"""④: the divergence of the aggregate posterior from the prior, KL(q(z) ‖ p(z)) (HFVAE Fig. 1)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def marginal_kl(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return log q(z) − log p(z) per example, [B], in nats; the sum of group_tc, within_tc and dimension_kl."""
    return evidence.log_qz("joint", blocks) - evidence.log_pz("joint", blocks)
