"""②: the index-code mutual information I(x; z) = E[log q(z|x) − log q(z)] (HFVAE Fig. 1; β-TCVAE Eq. 2, i)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def mutual_information(evidence: Evidence, *, blocks: Blocks = None) -> Tensor:
    """Return log q(z|x) − log q(z) per example, [B], in nats, for the named blocks jointly."""
    return evidence.log_qz_x("joint", blocks) - evidence.log_qz("joint", blocks)
