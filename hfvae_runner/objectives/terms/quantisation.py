"""The distance from the codebooks to the encoder's output, which trains the codebooks (Hsu et al. 2023, Sec. 4.1)."""

import torch
from torch import Tensor

from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives.terms._quantised import before_and_after
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def quantisation(evidence: Evidence) -> Tensor:
    """Return Σ_d (sg(e_d) − c_d)² per example, [B], over all quantised factors; it has no unit.

    c_d is the codebook's value nearest to the encoder's output e_d, which receives no gradient (sg).
    """
    pairs = before_and_after(evidence)
    return torch.stack([(output.detach() - nearest).square().sum(1) for output, nearest in pairs]).sum(0)
