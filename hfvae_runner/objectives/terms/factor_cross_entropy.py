"""The cross-entropy between given ground-truth factors and the means of the latents that represent them.

Locatello et al. 2020, "Disentangling factors of variation using few labels", Eq. 2, with their R_s: the binary
cross-entropy of the factor, scaled to [0, 1], under the sigmoid of the mean. Deviations: value v of V is scaled to
(v + ½)/V, where the authors' code has v/V. So the best mean is finite for every value, and is 0 in the middle of the
range. The mean over the examples takes the place of the code's sum over 64 of them.

Shapes: B batch; m examples with given factors.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hfvae_runner.distributions import categorical
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.known_factors import Assignment, KnownFactors
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def factor_cross_entropy(evidence: Evidence) -> Tensor:
    """Return the sum over the given factors, [m], in nats; [B] zeros if no factors are given.

    A discrete variable brings −log q(k|x) at the factor's value k.
    """
    known = evidence.known
    if known is None:
        return torch.zeros_like(evidence.log_px)
    parts = [_cross_entropy(evidence, known, each, place) for place, each in enumerate(known.assignments)]
    return torch.stack(parts).sum(0)


def _cross_entropy(evidence: Evidence, known: KnownFactors, own: Assignment, place: int) -> Tensor:
    block, parameters, value = evidence.latents.blocks[own.block], known.posterior[own.block], known.values[:, place]
    if block.discrete:
        return -categorical.log_probs(parameters).gather(1, value[:, None])[:, 0]
    mean = block.mode(parameters)[:, own.place]
    target = (value.to(mean.dtype) + 0.5) / own.size
    return binary_cross_entropy_with_logits(mean, target, reduction="none")
