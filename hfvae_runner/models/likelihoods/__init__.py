"""The likelihoods p(x|z), one family per file. A likelihood defines the meaning of the decoder's output.

The kind of a data set's values (``Dataset.values``) determines which families fit. To add a family, add a file to this
folder.
"""

from hfvae_runner.config.names import Values
from hfvae_runner.models.likelihoods._likelihood import Likelihood
from hfvae_runner.models.likelihoods.bernoulli import BernoulliLikelihood
from hfvae_runner.models.likelihoods.categorical import CategoricalLikelihood
from hfvae_runner.models.likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from hfvae_runner.models.likelihoods.gaussian import GaussianLikelihood
from hfvae_runner.models.likelihoods.laplace import LaplaceLikelihood
from hfvae_runner.models.likelihoods.multinomial import MultinomialLikelihood

FAMILIES: tuple[type[Likelihood], ...] = (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    CategoricalLikelihood,
    MultinomialLikelihood,
)


def fitting(values: Values) -> tuple[str, ...]:
    """Return the names of the families that are defined for values of this kind."""
    return tuple(family.name for family in FAMILIES if family.fits(values))


__all__ = [
    "FAMILIES",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "Likelihood",
    "MultinomialLikelihood",
    "fitting",
]
