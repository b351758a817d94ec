"""Ⓑ: the divergence of each block's aggregate posterior from its prior, Σ_g KL(q(z_g) ‖ p(z_g)) (HFVAE Fig. 3)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def block_kl(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return Σ_g [log q(z_g) − log p(z_g)] per example, [B], in nats; the sum of within_tc and dimension_kl."""
    return (evidence.log_qz("block", blocks) - evidence.log_pz("block", blocks)).sum(1)
