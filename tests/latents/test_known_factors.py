"""Which latent represents which ground-truth factor."""

from collections.abc import Mapping, Sequence

import pytest

from hfvae_runner.data.factors import Factors
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.known_factors import assigned
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal_concrete import normal_concrete

FACTORS = Factors(("shape", "scale", "x", "camera", "lens"), (3, 6, 3, 4, 1), nuisance=("camera",))


def latents(continuous: int = 4, categories: int = 3) -> Latents:
    return normal_concrete(continuous=continuous, categories=categories, temperature=0.66, n_classes=None)


def pairs(chosen: Sequence[str] | Mapping[str, str] | None, own: Latents) -> dict[str, str]:
    return {each.factor: each.latent for each in assigned(FACTORS, own, chosen, "prior=p")}


def test_a_discrete_variable_takes_the_first_factor_with_as_many_values() -> None:
    assert pairs(None, latents()) == {"shape": "class", "scale": "style[0]", "x": "style[1]"}


def test_without_such_a_factor_all_go_to_continuous_latents() -> None:
    assert pairs(None, latents(categories=5)) == {"shape": "style[0]", "scale": "style[1]", "x": "style[2]"}


def test_chosen_factors_in_their_order_nuisance_factors_too() -> None:
    assert pairs(["camera", "scale"], latents()) == {"camera": "style[0]", "scale": "style[1]"}


def test_named_latents() -> None:
    found = assigned(FACTORS, latents(), {"x": "style[3]", "shape": "class"}, "prior=p")
    assert [(each.factor, each.size, each.latent, each.block, each.place) for each in found] == [
        ("x", 3, "style[3]", 0, 3),
        ("shape", 3, "class", 1, 0),
    ]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["scael"], "no factor 'scael'; expected one of shape, scale, x, camera, lens; did you mean 'scale'"),
        (["x", "x"], "names a factor twice"),
        (["lens"], "no factor with two values or more"),
        ({"x": "style[9]"}, r"supervision.factors.x=style\[9\]: no such latent"),
        ({"x": "style[0]", "scale": "style[0]"}, r"style\[0\] represents 2 factors; expected one"),
        ({"scale": "class"}, "the factor has 6 values and class has 3 categories"),
        (["scale", "camera"], "2 factors for the 1 continuous latents of prior=p"),
    ],
)
def test_refusals(chosen: Sequence[str] | Mapping[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assigned(FACTORS, latents(continuous=1), chosen, "prior=p")
