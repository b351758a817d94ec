"""②+④: the divergence of the posterior from the prior, KL(q(z|x) ‖ p(z)) (HFVAE Fig. 1)."""

from typing import Literal

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def kl(
    evidence: Evidence, *, blocks: Blocks = None, method: Literal["closed_form", "monte_carlo"] = "closed_form"
) -> Tensor:
    """Return KL(q(z|x) ‖ p(z)) per example, [B], in nats.

    Args:
        evidence: the log-densities of one batch.
        blocks: only these blocks, by name or kind.
        method: ``closed_form`` uses a closed form where a prior has one (no B² work). ``monte_carlo`` uses
            log q(z|x) − log p(z) at the sample, as the β-TCVAE authors do.
    """
    if method == "closed_form":
        return evidence.kl("joint", blocks)
    return evidence.log_qz_x("joint", blocks) - evidence.log_pz("joint", blocks)
