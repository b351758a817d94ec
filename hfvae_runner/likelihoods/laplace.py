"""Values as Laplace variables; the decoder gives locations, and the logs of the scales too where they are predicted."""

from torch import Tensor

from hfvae_runner.distributions import laplace
from hfvae_runner.likelihoods._likelihood import Likelihood
from hfvae_runner.likelihoods._scale import Scale


class LaplaceLikelihood(Likelihood):
    """∏ exp(−|x − location| / scale) / (2·scale), the scale as in ``Scale``.

    The α-β paper's authors have it with the fixed scale 0.1 for Fashion-MNIST.

    Raises:
        ConfigError: the scale is not one that ``Scale`` knows.
    """

    name = "laplace"
    support = "real"

    def __init__(self, *, scale: float | str) -> None:
        super().__init__()
        self.scale = Scale(scale)
        self.parameters_per_value = self.scale.parameters_per_value

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return laplace.log_prob(x, raw[:, 0], self.scale(raw)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[:, 0]

    def settings(self) -> dict[str, float]:
        return self.scale.settings()
