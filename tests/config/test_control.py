import math

import pytest

from hfvae_runner.config.control import PIControl, parse_weight
from hfvae_runner.config.penalties import PenaltySpec, parse_terms
from hfvae_runner.config.schedules import parse
from hfvae_runner.errors import ConfigError


def test_what_is_left_out_has_the_paper_s_value() -> None:
    parsed = parse_weight({"pi_control": {"target": 18}}, "kl")
    assert parsed == PIControl(parse(18, ""), k_p=0.01, k_i=0.001, least=0, most=None, start=None, window=1)
    assert isinstance(parsed, PIControl)
    assert parsed.first_integral == 0


def test_all_is_given() -> None:
    settings = {"k_p": 1, "k_i": 0.5, "least": 1, "most": 100, "start": 50, "window": 5.0}
    ramp = {"linear": [0, 18, 1000]}
    parsed = parse_weight({"pi_control": {"target": ramp, **settings}}, "kl")
    assert parsed == PIControl(parse(ramp, ""), k_p=1, k_i=0.5, least=1, most=100, start=50, window=5)
    assert isinstance(parsed, PIControl)
    assert isinstance(parsed.window, int)
    assert parsed.first_integral == 50 - 1 - 0.5


def test_what_is_no_controller_is_a_schedule() -> None:
    assert parse_weight({"linear": [0, 4, 10]}, "kl") == parse({"linear": [0, 4, 10]}, "kl")
    assert parse_weight(4, "kl") == parse(4, "kl")


@pytest.mark.parametrize("line", [{"pi_control": {"target": 3}}, {"weight": {"pi_control": {"target": 3}}}])
def test_any_term_may_have_one(line: dict[str, object]) -> None:
    spec = parse_terms({"reconstruction": 1, "total_correlation": line})["total_correlation"]
    assert spec == PenaltySpec("total_correlation", "total_correlation", PIControl(parse(3, "")))
    assert not spec.absent


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (3, r"kl.pi_control=3: expected a section with keys of its own, such as \{target: 18\}"),
        ({}, "kl.pi_control.target is missing"),
        ({"target": 3, "k_q": 1}, "kl.pi_control.k_q: unknown key; expected one of target, .*; did you mean 'k_"),
        ({"target": "x"}, "kl.pi_control.target: 'x' is neither a number nor a schedule"),
        ({"target": {"pi_control": {"target": 3}}}, "kl.pi_control.target: pi_control is only for the whole weight"),
        ({"target": 3, "k_p": -1}, "kl.pi_control.k_p=-1: expected a number from 0 on"),
        ({"target": 3, "k_i": math.nan}, "kl.pi_control.k_i=nan: expected a number from 0 on"),
        ({"target": 3, "k_i": True}, "kl.pi_control.k_i=true: expected a number from 0 on"),
        ({"target": 3, "least": None}, "kl.pi_control.least=null: expected a number from 0 on"),
        ({"target": 3, "least": 2, "most": 2}, "kl.pi_control.most=2: expected a number above least=2, or null"),
        ({"target": 3, "least": 2, "start": 1}, "kl.pi_control.start=1: expected a number from `least` to `most`"),
        ({"target": 3, "most": 2, "start": 5}, "kl.pi_control.start=5: expected a number from `least` to `most`"),
        ({"target": 3, "window": 0}, "kl.pi_control.window=0: expected a whole number from 1 on"),
        ({"target": 3, "window": 1.5}, "kl.pi_control.window=1.5: expected a whole number from 1 on"),
    ],
)
def test_a_controller_that_means_nothing_is_refused(settings: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_weight({"pi_control": settings}, "kl")
    assert "\n" not in str(caught.value)


CONTROLLED = {"pi_control": {"target": 3}}


@pytest.mark.parametrize(
    "line",
    [
        {"weight": {"sum": [1, CONTROLLED]}},
        {"weight": {"negative": CONTROLLED}},
        {"target": CONTROLLED},
        {"sum": [1, CONTROLLED]},
    ],
)
def test_it_is_no_part_of_a_schedule_and_no_target(line: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"objective.terms.kl\S*: pi_control is only for the whole weight of a term"):
        parse_terms({"reconstruction": 1, "kl": line})


def test_one_target_is_enough() -> None:
    with pytest.raises(ConfigError, match=r"objective.terms.kl.target: the weight's pi_control has a target"):
        parse_terms({"reconstruction": 1, "kl": {"weight": CONTROLLED, "target": 2}})
