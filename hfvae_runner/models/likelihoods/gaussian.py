"""Values as normal variables; the decoder gives means, and log standard deviations too where they are predicted."""

from torch import Tensor

from hfvae_runner.distributions import normal
from hfvae_runner.models.likelihoods._scale import LocationScaleLikelihood


class GaussianLikelihood(LocationScaleLikelihood):
    """∏ N(x; mean, scale²), the scale as in ``Scale``; predicted, it is the α-β paper's (Table 1b, App. B).

    Raises:
        ConfigError: the scale is not one that ``Scale`` knows.
    """

    name = "gaussian"

    def log_density(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        return normal.log_prob(x, location, log_scale)
