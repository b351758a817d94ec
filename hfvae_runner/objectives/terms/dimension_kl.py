"""ii: the divergence of each factor's aggregate posterior from its prior, Σ_gd KL(q(z_gd) ‖ p(z_gd)) (HFVAE Fig. 3)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def dimension_kl(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return Σ_gd [log q(z_gd) − log p(z_gd)] per example, [B], in nats."""
    return (evidence.log_qz("factor", blocks) - evidence.log_pz("factor", blocks)).sum(1)
