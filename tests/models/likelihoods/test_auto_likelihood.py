"""likelihood=auto is the usual likelihood of each kind of values."""

from typing import get_args

import pytest

from hfvae_runner.config.names import Values
from hfvae_runner.errors import ConfigError
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.likelihoods.auto import auto


@pytest.mark.parametrize("values", get_args(Values))
def test_it_fits_every_kind_of_values(values: Values) -> None:
    expected = {"unit_interval": "bernoulli", "real": "gaussian", "counts": "multinomial"}
    made = auto(values=values, scale="predicted")
    assert made.name == expected[values] and type(made).support == values


def test_the_scale_is_the_gaussian_s() -> None:
    made = auto(values="real", scale=0.5)
    assert isinstance(made, GaussianLikelihood) and made.settings() == {"scale": 0.5}


@pytest.mark.parametrize("values", get_args(Values))
def test_a_wrong_scale_is_refused_whatever_the_values(values: Values) -> None:
    with pytest.raises(ConfigError, match=r"likelihood\.scale='wide'"):
        auto(values=values, scale="wide")
