import subprocess
import sys

import pytest

from hfvae_runner.config.penalties import PenaltySpec, parse_terms
from hfvae_runner.config.schedules import Schedule, parse
from hfvae_runner.errors import ConfigError


def constant(value: float) -> Schedule:
    return parse(value, "")


def test_a_weight_stands_for_the_term_it_is_named_after() -> None:
    parsed = parse_terms({"reconstruction": 1, "group_tc": {"linear": [0, 4, 1000]}})
    assert list(parsed) == ["reconstruction", "group_tc"]
    assert parsed["reconstruction"] == PenaltySpec("reconstruction", "reconstruction", constant(1))
    assert parsed["group_tc"] == PenaltySpec("group_tc", "group_tc", parse({"linear": [0, 4, 1000]}, ""))


def test_a_line_spelt_out() -> None:
    line = {
        "term": "kl",
        "blocks": ["discrete"],
        "weight": {"cosine": [0, 30, 10]},
        "target": {"linear": [0, 5, 25_000]},
        "cap": "log_categories",
    }
    parsed = parse_terms({"reconstruction": 1, "kl_discrete": line})["kl_discrete"]
    assert parsed == PenaltySpec(
        name="kl_discrete",
        term="kl",
        weight=parse({"cosine": [0, 30, 10]}, ""),
        target=parse({"linear": [0, 5, 25_000]}, ""),
        cap="log_categories",
        options={"blocks": ["discrete"]},
    )


def test_what_is_left_out_of_a_line() -> None:
    parsed = parse_terms({"reconstruction": 1, "kl": {"method": "monte_carlo"}})["kl"]
    assert parsed == PenaltySpec("kl", "kl", constant(1), options={"method": "monte_carlo"})
    assert parse_terms({"reconstruction": 1, "kl": {"target": 0}})["kl"].target == constant(0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"group_tx": 1}, "objective.terms.group_tx: unknown term 'group_tx', expected .*did you mean 'group_tc'"),
        ({"a": {"term": "kk"}}, "objective.terms.a: unknown term 'kk'.*did you mean 'kl'"),
        ({"a": {"term": 3}}, "unknown term 3"),
        ({"a": {"weight": 3}}, "unknown term 'a'"),
        ({"kl": {"wieght": 3}}, "objective.terms.kl: unknown key 'wieght', expected one of .*did you mean 'weight'"),
        ({"group_tc": {"method": "closed_form"}}, "unknown key 'method'"),
        ({"kl": {"weight": "big"}}, "objective.terms.kl.weight: 'big' is neither"),
        ({"kl": {"target": [1]}}, "objective.terms.kl.target"),
        (
            {"kl": {"target": 1, "cap": "log_category"}},
            "objective.terms.kl.cap: unknown .*did you mean 'log_categories'",
        ),
        ({"kl": {"cap": "log_categories"}}, "objective.terms.kl.cap bounds a target, but there is no target"),
        ({"kl": None}, "objective.terms.kl: None is neither"),
    ],
)
def test_a_line_that_means_nothing_is_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_terms({"reconstruction": 1, **spec})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", [{}, {"kl": 1}, {"reconstruction": 0, "kl": 1}])
def test_an_objective_compares_with_the_data(spec: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="no term that compares the decoder's output with the data"):
        parse_terms(spec)


def test_reconstruction_may_go_by_another_name() -> None:
    assert list(parse_terms({"likelihood": {"term": "reconstruction"}})) == ["likelihood"]


def test_parsing_needs_no_torch() -> None:
    program = (
        "import sys; from hfvae_runner.config.penalties import parse_terms;"
        "parse_terms({'reconstruction': 1, 'kl': {'target': 1}}); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
