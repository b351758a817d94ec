"""The distance from the encoder's output to the codebooks, which trains the encoder (Hsu et al. 2023, Sec. 4.1)."""

import torch
from torch import Tensor

from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives.terms._quantised import before_and_after
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def commitment(evidence: Evidence) -> Tensor:
    """Return Σ_d (e_d − sg(c_d))² per example, [B], over all quantised factors; it has no unit.

    e_d is the encoder's output. The nearest value of the codebook, c_d, receives no gradient (sg).
    """
    pairs = before_and_after(evidence)
    return torch.stack([(output - nearest.detach()).square().sum(1) for output, nearest in pairs]).sum(0)
