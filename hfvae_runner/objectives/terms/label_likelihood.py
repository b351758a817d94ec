"""The log-likelihood of the given labels, log q(y|x) (HFVAE Fig. 10: semi-supervision)."""

import torch
from torch import Tensor

from hfvae_runner.distributions import categorical
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives.terms._term import rewarded_batch_mean


@rewarded_batch_mean
def label_likelihood(evidence: Evidence) -> Tensor:
    """Return log q(y|x) per example, [B], in nats; 0 where no label is given. The loss subtracts this reward."""
    supervised = evidence.supervised
    if supervised is None:
        return torch.zeros_like(evidence.log_px)
    (g,) = evidence.latents.select([supervised.block])
    log_q = categorical.log_probs(evidence.posterior[g])
    of_label = log_q.gather(1, supervised.labels.clamp_min(0)[:, None])[:, 0]
    return torch.where(supervised.given, of_label, torch.zeros_like(of_label))
