"""Ⓐ: the total correlation between blocks, relative to that of the prior (HFVAE Fig. 3)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def group_tc(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return log q(z)/Π_g q(z_g) − log p(z)/Π_g p(z_g) per example, [B], in nats."""
    posterior = evidence.log_qz("joint", blocks) - evidence.log_qz("block", blocks).sum(1)
    prior = evidence.log_pz("joint", blocks) - evidence.log_pz("block", blocks).sum(1)
    return posterior - prior
