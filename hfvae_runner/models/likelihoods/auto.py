"""The likelihood that fits the values of a data set, where a choice of data set leaves them open."""

from hfvae_runner.config.names import Values
from hfvae_runner.models.likelihoods._likelihood import Likelihood
from hfvae_runner.models.likelihoods.bernoulli import BernoulliLikelihood
from hfvae_runner.models.likelihoods.gaussian import GaussianLikelihood
from hfvae_runner.models.likelihoods.multinomial import MultinomialLikelihood


def auto(*, values: Values, scale: float | str) -> Likelihood:
    """Return the likelihood that is usual for such values.

    Args:
        values: of the data set.
        scale: of the normal distribution for real numbers, as in ``GaussianLikelihood``; others have none.

    Raises:
        ConfigError: the scale is not one that ``GaussianLikelihood`` knows.
    """
    gaussian = GaussianLikelihood(scale=scale)
    return {"unit_interval": BernoulliLikelihood, "real": lambda: gaussian, "counts": MultinomialLikelihood}[values]()
