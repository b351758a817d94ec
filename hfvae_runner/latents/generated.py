"""Examples generated from draws of the prior, for the terms that compare them with the data.

Shapes: B batch; * the shape of one example.
"""

from dataclasses import dataclass

from torch import Tensor

from hfvae_runner.latents.blocks import Posterior, Sample


@dataclass(frozen=True)
class Generated:
    """As many generated examples as the batch has.

    Attributes:
        data: the batch's examples, [B, *].
        x: the generated examples E[x|z], [B, *], with gradients to the decoder.
        sample: the draws z of the prior, [B, C_g] for each block; categories are not relaxed.
        posterior: the encoder's output for the generated examples, [B, P_g] for each block.
    """

    data: Tensor
    x: Tensor
    sample: Sample
    posterior: Posterior
