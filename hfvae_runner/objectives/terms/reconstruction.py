"""①+③: the expected log-likelihood E[log p(x|z)] (HFVAE Fig. 1)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives.terms._term import rewarded_batch_mean


@rewarded_batch_mean
def reconstruction(evidence: Evidence) -> Tensor:
    """Return log p(x|z) per example, [B], in nats, summed over the example's values. The loss subtracts this reward."""
    return evidence.log_px
