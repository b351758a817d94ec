"""Values as normal variables; the decoder gives means, and log standard deviations too where they are predicted."""

from torch import Tensor

from hfvae_runner.distributions import normal
from hfvae_runner.likelihoods._likelihood import Likelihood
from hfvae_runner.likelihoods._scale import Scale


class GaussianLikelihood(Likelihood):
    """∏ N(x; mean, scale²), the scale as in ``Scale``; predicted, it is the α-β paper's (Table 1b, App. B).

    Raises:
        ConfigError: the scale is not one that ``Scale`` knows.
    """

    name = "gaussian"
    support = "real"

    def __init__(self, *, scale: float | str) -> None:
        super().__init__()
        self.scale = Scale(scale)
        self.parameters_per_value = self.scale.parameters_per_value

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return normal.log_prob(x, raw[:, 0], self.scale(raw)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[:, 0]

    def settings(self) -> dict[str, float]:
        return self.scale.settings()
