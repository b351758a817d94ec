"""The normal likelihood of real values; the decoder returns means and, if predicted, log standard deviations."""

from torch import Tensor

from hfvae_runner.distributions import normal
from hfvae_runner.models.likelihoods._scale import LocationScaleLikelihood


class GaussianLikelihood(LocationScaleLikelihood):
    """Normal likelihood ∏ N(x; mean, scale²), with the scale as in ``Scale``.

    With a predicted scale it is the likelihood of the α-β paper (Table 1b, App. B).

    Raises:
        ConfigError: ``Scale`` does not accept the scale.
    """

    name = "gaussian"

    def log_density(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        return normal.log_prob(x, location, log_scale)
