"""②+④: the divergence of the posterior from the prior, KL(q(z|x) ‖ p(z)) (HFVAE Fig. 1)."""

from typing import Literal

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def kl(
    evidence: Evidence, *, blocks: Blocks = None, method: Literal["closed_form", "monte_carlo"] = "closed_form"
) -> Tensor:
    """KL(q(z|x) ‖ p(z)) per example, [B], nats.

    Args:
        blocks: only these blocks, by name or kind.
        method: ``closed_form`` where a block has one (no B² work); ``monte_carlo`` takes log q(z|x) − log p(z) at the
            sample, as the β-TCVAE authors do.
    """
    if method == "closed_form":
        return evidence.kl("joint", blocks)
    return evidence.log_qz_x("joint", blocks) - evidence.log_pz("joint", blocks)
