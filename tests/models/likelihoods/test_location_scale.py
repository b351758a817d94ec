"""The Gaussian and the Laplace likelihood, with each kind of scale."""

import math
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.models.likelihoods import GaussianLikelihood, LaplaceLikelihood, Likelihood

X = torch.randn(4, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
RAW = torch.randn(4, 2, 1, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
FAMILIES: dict[type[Likelihood], scipy.stats.rv_continuous] = {
    GaussianLikelihood: scipy.stats.norm,
    LaplaceLikelihood: scipy.stats.laplace,
}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Callable[..., Likelihood]:
    chosen: Callable[..., Likelihood] = request.param
    return chosen


def reference(family: Callable[..., Likelihood], scale: Tensor | float) -> list[float]:
    """log p(x), [B], by scipy, with the locations of RAW."""
    density = FAMILIES[family]  # type: ignore[index]
    values = torch.as_tensor(density.logpdf(X.numpy(), RAW[:, 0].numpy(), scale))
    summed: list[float] = values.flatten(1).sum(1).tolist()
    return summed


def test_a_fixed_scale(family: Callable[..., Likelihood]) -> None:
    likelihood = family(scale=0.25)
    assert likelihood.parameters_per_value == 1
    assert likelihood.log_prob(X, RAW[:, :1]).tolist() == pytest.approx(reference(family, 0.25), rel=1e-6)
    assert not list(likelihood.parameters())
    assert not likelihood.state_dict(), "the config says it"
    assert family(scale=0.1).settings() == {"scale": 0.1}


def test_a_predicted_scale(family: Callable[..., Likelihood]) -> None:
    likelihood = family(scale="predicted")
    assert likelihood.parameters_per_value == 2
    assert likelihood.log_prob(X, RAW).tolist() == pytest.approx(reference(family, RAW[:, 1].exp()))
    assert not list(likelihood.parameters())
    assert likelihood.settings() == {}


def test_a_learned_scale_starts_at_1(family: Callable[..., Likelihood]) -> None:
    likelihood = family(scale="learned")
    assert likelihood.parameters_per_value == 1
    assert likelihood.log_prob(X, RAW[:, :1]).tolist() == pytest.approx(reference(family, 1.0))
    assert likelihood.settings() == {"scale": 1.0}
    assert [parameter.shape for parameter in likelihood.parameters()] == [()]


def test_a_learned_scale_is_saved_and_restored(family: Callable[..., Likelihood]) -> None:
    one, other = family(scale="learned"), family(scale="learned")
    with torch.no_grad():
        next(one.parameters()).fill_(math.log(0.5))
    other.load_state_dict(one.state_dict())
    assert other.settings() == {"scale": pytest.approx(0.5)}


def test_the_mean_is_the_location(family: Callable[..., Likelihood]) -> None:
    assert torch.equal(family(scale="predicted").mean(RAW), RAW[:, 0])
    assert torch.equal(family(scale=2).mean(RAW[:, :1]), RAW[:, 0])


def test_a_learned_scale_and_its_locations_find_the_datas(family: Callable[..., Likelihood]) -> None:
    """Maximum likelihood in closed form: standard deviation about the mean, or mean distance from the median."""
    generator = torch.Generator().manual_seed(0)
    x = 2 + 0.3 * torch.randn(501, 2, generator=generator)
    likelihood, location = family(scale="learned"), nn.Parameter(torch.zeros(1, 1, 2))
    optimizer = torch.optim.Adam([*likelihood.parameters(), location], lr=0.05)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 600)
        optimizer.zero_grad()
        (-likelihood.log_prob(x, location.expand(len(x), 1, 2)).mean()).backward()
        optimizer.step()
    if family is GaussianLikelihood:
        expected = (x - x.mean(0)).square().mean().sqrt()
    else:
        expected = (x - x.median(0).values).abs().mean()
    assert likelihood.settings()["scale"] == pytest.approx(expected.item(), rel=0.005)


def test_the_scale_follows_the_data_type(family: Callable[..., Likelihood]) -> None:
    for scale in ("learned", 0.1):
        assert family(scale=scale).double().log_prob(X, RAW[:, :1]).dtype == torch.float64
        assert family(scale=scale).log_prob(X.float(), RAW[:, :1].float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("scale", "end"),
    [
        ("predictd", "; did you mean 'predicted'?"),
        ("learn", "; did you mean 'learned'?"),
        (0, "above 0"),
        (-0.1, "above 0"),
        (math.inf, "above 0"),
        (math.nan, "above 0"),
        (True, "above 0"),
        (None, "above 0"),
        ([0.1], "above 0"),
    ],
)
def test_what_is_no_scale_is_refused(family: Callable[..., Likelihood], scale: object, end: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        family(scale=scale)
    assert str(refusal.value).startswith(f"likelihood.scale={scale!r}: expected predicted, learned or a number above 0")
    assert str(refusal.value).endswith(end)
