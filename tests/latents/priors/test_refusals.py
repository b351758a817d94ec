"""What a prior's options are refused for, in one line that names the option."""

import pytest
from variants import NAMES, made

from hfvae_runner.errors import ConfigError

REFUSED = [
    ("two_groups", 2, {"sizes": [2]}, r"prior.sizes=\[2\]: expected two whole numbers, as in \[25, 25\]"),
    ("two_groups", 2, {"sizes": [2, 0]}, r"prior.sizes\[1\]=0: expected a whole number from 1 on"),
    ("two_groups", 2, {"correlation": 1}, "prior.correlation=1: expected a number between -1 and 1"),
    ("two_groups", 2, {"correlation": "high"}, "prior.correlation='high': expected a number"),
    ("two_groups", 2, {"sizes": [2, 3], "correlation": 0.5}, r"sizes=\[2, 3\] with .*=0.5: expected equal sizes"),
    ("anisotropic", 2, {"variances": "pac"}, "variances='pac': expected null, a list, or pca; did you mean 'pca'?"),
    ("anisotropic", 2, {"variances": [1, 2, 3]}, r"variances=\[1, 2, 3\]: expected a list of 2 numbers"),
    ("anisotropic", 2, {"variances": [1, 0]}, r"prior.variances\[1\]=0: expected a number above 0"),
    ("anisotropic", 2, {"variances": 3}, "prior.variances=3: expected a list of 2 numbers"),
    ("anisotropic", 2, {"pca_as": "variance"}, "expected deviations or variances; did you mean 'variances'?"),
    ("anisotropic", 2, {"scale": 0}, "prior.scale=0: expected a number above 0"),
    ("anisotropic", 2, {"learned": 1}, "prior.learned=1: expected true or false"),
    ("student_t", 2, {"nu": 0}, "prior.nu=0: expected a number above 0"),
    ("student_t", 2, {"nu": 1.0, "learned": True}, "prior.nu=1.0: expected a start above 1"),
    ("laplace", 2, {"scale": -1}, "prior.scale=-1"),
    ("laplace", 2, {"learned": "yes"}, "prior.learned='yes': expected true or false"),
    ("generalised_normal", 2, {"exponent": 0}, "prior.exponent=0: expected a number above 0"),
    ("generalised_normal", 2, {"exponent": 0.8, "learned": True}, "prior.exponent=0.8: expected a start above 1"),
    ("generalised_normal", 2, {"scale": float("nan")}, "prior.scale=nan"),
    (
        "mixture",
        3,
        {"means": [[0, 1]]},
        r"prior.means\[0\]=\[0, 1\] has 2 coordinates; expected latents=3 of them, or latents=2",
    ),
    ("mixture", 2, {"means": []}, r"prior.means=\[\]: expected a list of points"),
    ("mixture", 2, {"means": [[0, 1], 3]}, r"prior.means\[1\]=3: expected a list of 2 numbers"),
    ("mixture", 2, {"means": [[0, "x"]]}, r"prior.means\[0\]\[1\]='x': expected a number"),
    (
        "mixture",
        2,
        {"weights": [0.5, 0.5]},
        "prior.weights=.* expected a list of 4 numbers, one for each of the components",
    ),
    ("mixture", 2, {"weights": [0.5, 0.5, 0.5, 0.5]}, "prior.weights=.*: expected a sum of 1, not 2"),
    ("mixture", 2, {"weights": [1, 0, 0, 0]}, r"prior.weights\[1\]=0: expected a number above 0"),
    ("mixture", 2, {"variance": 0}, "prior.variance=0"),
    (
        "mixture",
        2,
        {"components": 5},
        "prior.components=5: expected at most 4, two on each axis of latents=2; for more",
    ),
    ("mixture", 2, {"components": 0}, "prior.components=0: expected a whole number from 1 on"),
    ("mixture", 2, {"components": 2.0}, "prior.components=2.0: expected a whole number from 1 on"),
    ("mixture", 2, {"radius": 0}, "prior.radius=0: expected a number above 0"),
    (
        "mixture",
        1,
        {"means": [[0]], "components": 1},
        "prior.components=1 with prior.means given: expected one of them",
    ),
    ("mixture", 1, {"means": [[0]], "radius": 2}, "prior.radius=2 with prior.means given: expected one of them"),
    ("mixture", 2, {"learned": 1}, "prior.learned=1: expected true or false"),
    ("sparse", 2, {"gamma": 1.5}, "prior.gamma=1.5: expected a number from 0 to 1"),
    ("sparse", 2, {"sigma": 0}, "prior.sigma=0: expected a number above 0"),
    ("isa", 10, {"subspaces": 4}, "latents=10 does not divide into subspaces of 4; expected a divisor, or a list"),
    ("isa", 10, {"subspaces": [4, 4]}, "8 factors in all; expected latents=10 of them, or latents=8"),
    ("isa", 10, {"subspaces": [10, 0]}, r"prior.subspaces\[1\]=0: expected a whole number from 1 on"),
    ("isa", 10, {"subspaces": "two"}, "prior.subspaces='two'"),
    (
        "isa",
        10,
        {"exponents": [2, 2]},
        r"prior.exponents=\[2, 2\]: expected a list of 5 numbers, one for each subspace",
    ),
    ("isa", 10, {"exponents": 1, "learned": True}, "prior.exponents=.*: expected a start above 1"),
    ("isa", 10, {"root_exponent": -2}, "prior.root_exponent=-2"),
    ("isa", 10, {"scale": 0}, "prior.scale=0"),
    ("isa", 3, {"subspaces": 1, "learned": True}, "prior.learned=true: no subspace in prior.subspaces=1 has two"),
    ("lp_nested", 10, {"tree": [1, [2]]}, "has 3 leaves; expected latents=10 of them, or latents=3"),
    ("lp_nested", 3, {"tree": [1, []]}, r"prior.tree=\[1, \[\]\]"),
    ("lp_nested", 3, {"tree": "3"}, "prior.tree='3'"),
    ("lp_nested", 3, {"tree": [1, [2]], "exponents": [2, 2]}, "a list of 1 numbers, one for each inner node below"),
    ("lp_nested", 3, {"tree": [3], "learned": True}, "has no inner node below the root; expected false"),
    ("flow", 2, {"steps": 0}, "prior.steps=0: expected a whole number from 1 on"),
]


@pytest.mark.parametrize(("name", "latents", "changed", "message"), REFUSED)
def test_an_option_out_of_range_is_refused(name: str, latents: int, changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        made(name, latents, **changed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("latents", [0, -1])
def test_every_prior_needs_a_factor(name: str, latents: int) -> None:
    with pytest.raises(ConfigError, match=rf"prior\.(size|sizes\[0\]|continuous|tree)=.*{latents}"):
        made(name, latents)
