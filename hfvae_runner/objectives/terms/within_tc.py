"""i: the total correlation within blocks, relative to that of the prior (HFVAE Fig. 3)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def within_tc(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return Σ_g [log q(z_g)/Π_d q(z_gd) − log p(z_g)/Π_d p(z_gd)] per example, [B], in nats."""
    posterior = evidence.log_qz("block", blocks).sum(1) - evidence.log_qz("factor", blocks).sum(1)
    prior = evidence.log_pz("block", blocks).sum(1) - evidence.log_pz("factor", blocks).sum(1)
    return posterior - prior
