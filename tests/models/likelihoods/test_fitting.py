"""Which likelihood fits which values, and what all of them have in common."""

from typing import get_args

import pytest
import torch
import yaml
from torch import Tensor

from hfvae_runner.config.names import Values
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.models.likelihoods import (
    FAMILIES,
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
    MultinomialLikelihood,
    fitting,
)

ALL = (
    BernoulliLikelihood(),
    ContinuousBernoulliLikelihood(),
    GaussianLikelihood(scale="predicted"),
    GaussianLikelihood(scale="learned"),
    GaussianLikelihood(scale=0.5),
    LaplaceLikelihood(scale="predicted"),
    LaplaceLikelihood(scale="learned"),
    LaplaceLikelihood(scale=0.5),
    CategoricalLikelihood(),
    MultinomialLikelihood(),
)


def some(values: Values, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    match values:
        case "unit_interval":
            return torch.rand(shape, generator=generator)
        case "real":
            return 3 * torch.randn(shape, generator=generator)
        case "counts":
            return torch.randint(4, shape, generator=generator).float()


def test_what_fits() -> None:
    assert fitting("unit_interval") == ("bernoulli", "continuous_bernoulli", "gaussian", "laplace")
    assert fitting("real") == ("gaussian", "laplace")
    assert fitting("counts") == ("categorical", "multinomial")
    assert all(fitting(values) for values in get_args(Values))


def test_every_family_has_the_file_of_its_name_and_every_file_its_family() -> None:
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (config_folder() / "likelihood").glob("*.yaml")}
    targets = {name: content["_target_"] for name, content in files.items()}
    assert targets.pop("auto") == "hfvae_runner.models.likelihoods.auto.auto"  # which is one of them
    assert targets == {
        family.name: f"hfvae_runner.models.likelihoods.{family.name}.{family.__name__}" for family in FAMILIES
    }


@pytest.mark.parametrize("likelihood", ALL, ids=str)
@pytest.mark.parametrize("shape", [(5,), (1, 3, 4)])
def test_an_examples_values_are_summed_and_the_examples_apart(likelihood: Likelihood, shape: tuple[int, ...]) -> None:
    x = some(likelihood.support, 3, *shape)
    raw = some("real", 3, likelihood.parameters_per_value, *shape, seed=1).requires_grad_()
    log_px = likelihood.log_prob(x, raw)
    assert log_px.shape == (3,)
    alone = torch.cat([likelihood.log_prob(x[i : i + 1], raw[i : i + 1]) for i in range(3)])
    assert torch.allclose(log_px, alone)
    (gradient,) = torch.autograd.grad(log_px.sum(), raw)
    assert gradient.isfinite().all()
    assert (gradient.abs().flatten(2).sum(2) > 0).all(), "every decoder output counts"
    assert likelihood.mean(raw).shape == (3, *shape)


@pytest.mark.parametrize("likelihood", ALL, ids=str)
def test_values_add_up_over_any_shape(likelihood: Likelihood) -> None:
    x = some(likelihood.support, 2, 1, 3, 4)
    raw = some("real", 2, likelihood.parameters_per_value, 1, 3, 4, seed=1)
    flat = likelihood.log_prob(x.flatten(1), raw.flatten(2))
    assert torch.allclose(likelihood.log_prob(x, raw), flat)
    assert torch.allclose(likelihood.mean(raw).flatten(1), likelihood.mean(raw.flatten(2)))
