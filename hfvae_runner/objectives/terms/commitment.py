"""The distance from the encoder's output to the codebooks, which trains the encoder (Hsu et al. 2023, Sec. 4.1)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives.terms._quantised import before_and_after, per_value
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def commitment(evidence: Evidence) -> Tensor:
    """Return P·mean_d (e_d − sg(c_d))² per example, [B], over all quantised factors; see ``per_value``.

    e_d is the encoder's output. The nearest value of the codebook, c_d, receives no gradient (sg).
    """
    pairs = before_and_after(evidence)
    return per_value(evidence, [(output - nearest.detach()).square() for output, nearest in pairs])
