"""The distance from the codebooks to the encoder's output, which trains the codebooks (Hsu et al. 2023, Sec. 4.1)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives.terms._quantised import before_and_after, per_value
from hfvae_runner.objectives.terms._term import batch_mean


@batch_mean
def quantisation(evidence: Evidence) -> Tensor:
    """Return P·mean_d (sg(e_d) − c_d)² per example, [B], over all quantised factors; see ``per_value``.

    c_d is the codebook's value nearest to the encoder's output e_d, which receives no gradient (sg).
    """
    pairs = before_and_after(evidence)
    return per_value(evidence, [(output.detach() - nearest).square() for output, nearest in pairs])
