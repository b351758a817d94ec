"""The default likelihood for the kind of a data set's values, for data sets whose kind of values is not fixed."""

from hfvae_runner.config.names import Values
from hfvae_runner.models.likelihoods._likelihood import Likelihood
from hfvae_runner.models.likelihoods.bernoulli import BernoulliLikelihood
from hfvae_runner.models.likelihoods.gaussian import GaussianLikelihood
from hfvae_runner.models.likelihoods.multinomial import MultinomialLikelihood


def auto(*, values: Values, scale: float | str) -> Likelihood:
    """Return the usual likelihood for a kind of values: Bernoulli, normal or multinomial.

    Args:
        values: kind of the data set's values.
        scale: scale of the normal distribution for real values, as in ``GaussianLikelihood``; unused for other values.

    Raises:
        ConfigError: ``GaussianLikelihood`` does not accept the scale.
    """
    gaussian = GaussianLikelihood(scale=scale)
    return {"unit_interval": BernoulliLikelihood, "real": lambda: gaussian, "counts": MultinomialLikelihood}[values]()
