"""The Laplace likelihood of real values; the decoder returns locations and, if predicted, log scales."""

from torch import Tensor

from hfvae_runner.distributions import laplace
from hfvae_runner.models.likelihoods._scale import LocationScaleLikelihood


class LaplaceLikelihood(LocationScaleLikelihood):
    """Laplace likelihood ∏ exp(−|x − location| / scale) / (2·scale), with the scale as in ``Scale``.

    The α-β paper's authors use it with the fixed scale 0.1 for Fashion-MNIST.

    Raises:
        ConfigError: ``Scale`` does not accept the scale.
    """

    name = "laplace"

    def log_density(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        return laplace.log_prob(x, location, log_scale)
