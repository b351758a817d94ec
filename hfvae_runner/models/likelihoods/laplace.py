"""Values as Laplace variables; the decoder gives locations, and the logs of the scales too where they are predicted."""

from torch import Tensor

from hfvae_runner.distributions import laplace
from hfvae_runner.models.likelihoods._scale import LocationScaleLikelihood


class LaplaceLikelihood(LocationScaleLikelihood):
    """∏ exp(−|x − location| / scale) / (2·scale), the scale as in ``Scale``.

    The α-β paper's authors have it with the fixed scale 0.1 for Fashion-MNIST.

    Raises:
        ConfigError: the scale is not one that ``Scale`` knows.
    """

    name = "laplace"

    def log_density(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        return laplace.log_prob(x, location, log_scale)
