"""The PI controller against the published rules in plain Python, and within an objective."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch
from engine import CPU, blocks, drawn, objective_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.config.control import PIControl, parse_weight
from hfvae_runner.config.penalties import parse_terms
from hfvae_runner.errors import ConfigError
from hfvae_runner.objectives import objective
from hfvae_runner.objectives.controller import Controller


def controller(**of: Any) -> Controller:
    control = parse_weight({"pi_control": {"target": 0, **of}}, "kl")
    assert isinstance(control, PIControl)
    return Controller(control).double()


def weights(of: Controller, errors: Iterable[float], target: float = 10.0) -> list[float]:
    """The weights at so many steps, at each of which the term is the target less an error."""
    point = torch.tensor(target, dtype=torch.float64)
    return [of(point - error, point).item() for error in errors]


def positional(errors: Sequence[float], k_p: float, k_i: float, least: float) -> list[float]:
    """ControlVAE as published: the integral rests while the weight before the cut is below the least one."""
    integral, uncut, found = 0.0, least, []
    for error in errors:
        if uncut >= least:
            integral -= k_i * error
        uncut = k_p / (1 + math.exp(error)) + integral + least
        found.append(max(uncut, least))
    return found


def incremental(
    values: Sequence[float], target: float, k_p: float, k_i: float, start: float, window: int
) -> list[float]:
    """DynamicVAE as published, above its least weight: increments of the weight, by a moving average of the values."""
    weight, before, found = start, 0.0, []
    queue = [0.0] * window
    for value in values:
        queue = [*queue[1:], value]
        error = target - sum(queue) / window
        weight += k_p * (1 / (1 + math.exp(error)) - 1 / (1 + math.exp(before))) - k_i * error
        before = error
        found.append(weight)
    return found


mild = st.lists(st.floats(-5, 5), min_size=1, max_size=30)


@settings(max_examples=50)
@given(mild, st.floats(0, 2), st.floats(0, 0.02))
def test_above_its_least_weight_it_is_control_vae_s(errors: list[float], k_p: float, k_i: float) -> None:
    """A KL that is above the set point first, by more than it can be below it in all that follows."""
    errors = [-200.0, *errors]
    found = weights(controller(k_p=k_p, k_i=k_i, least=1), errors)
    assert found == pytest.approx(positional(errors, k_p, k_i, 1), abs=1e-5)


@settings(max_examples=50)
@given(mild, st.integers(1, 5))
def test_with_another_start_it_is_dynamic_vae_s(errors: list[float], window: int) -> None:
    values = [10 - error for error in errors]
    found = weights(controller(k_p=0.5, k_i=0.005, least=0.1, start=50, window=window), errors)
    assert found == pytest.approx(incremental(values, 10, 0.5, 0.005, 50, window), abs=1e-4)


def test_the_weight_is_cut_to_its_range() -> None:
    found = weights(controller(k_p=1, k_i=1, least=1, most=3), [-1, -1, -1, -1, 50, 50])
    assert found[-1] == 1
    assert max(found) == 3
    assert all(1 <= weight <= 3 for weight in found)


def test_a_large_error_does_not_overflow() -> None:
    of = controller(k_p=1, k_i=0, least=0)
    assert weights(of, [1e6, -1e6]) == [0, 1]


def test_at_an_end_of_its_range_the_integral_rests() -> None:
    """A thousand steps further out, and it comes back in as few steps as it went."""
    of = controller(k_p=0.01, k_i=0.1, least=1, most=2)
    weights(of, [1.0] * 1000)
    assert of.integral.item() == pytest.approx(-0.1)
    assert weights(of, [-1.0] * 3)[-1] > 1
    weights(of, [-1.0] * 1000)
    assert of.integral.item() == pytest.approx(1.0, abs=0.11)
    assert weights(of, [1.0] * 3)[-1] < 2


def test_it_comes_back_where_the_published_rule_does_not() -> None:
    """A single error above K_p/K_i leaves the published weight at its least, whatever the KL is from then on."""
    errors = [20.0, *[-5.0] * 1000]
    assert positional(errors, 0.01, 0.001, 1)[-1] == 1
    assert weights(controller(least=1), errors)[-1] > 5


# Within an objective


def test_the_weight_answers_the_step_s_own_value_without_a_gradient() -> None:
    """The loss is the reconstruction's and weight·KL, and its gradient is that of a constant weight."""
    batch = drawn(blocks(2), 4, 9)
    batch.posterior[0].requires_grad_()
    evidence = batch.evidence("stratified")
    built = objective_of("control_vae", batch.latents, set_point=0.5, k_p=2, k_i=0.3, beta_min=1)
    kl = evidence.kl("joint").mean()
    error = 0.5 - kl.item()
    weight = 2 / (1 + math.exp(error)) - 0.3 * error + 1
    assert weight > 1
    loss, values = built(evidence, built.knobs(0, CPU), built.noise(4, torch.Generator()))
    assert values["weight/kl"].item() == pytest.approx(weight, rel=1e-5)
    torch.testing.assert_close(loss, weight * kl - evidence.log_px.mean(), rtol=1e-5, atol=1e-5)
    (found,) = torch.autograd.grad(loss, batch.posterior[0], retain_graph=True)
    (alone,) = torch.autograd.grad(kl, batch.posterior[0])
    torch.testing.assert_close(found, weight * alone, rtol=1e-5, atol=1e-7)


def test_knobs_have_the_set_point_of_a_step() -> None:
    built = objective_of("control_vae", blocks(2))
    assert built.knobs(10_000, CPU).tolist() == [[1, 0], [0, pytest.approx(0.8)]]


def test_its_state_is_the_objective_s_and_its_gains_are_the_config_s() -> None:
    built = objective_of("dynamic_vae", blocks(2))
    assert {name: list(each.shape) for name, each in built.state_dict().items()} == {
        "controllers.0.integral": [],
        "controllers.0.uncut": [],
        "controllers.0.recent": [5],
    }
    assert objective_of("vae", blocks(2)).state_dict() == {}


def test_two_terms_have_two_controllers() -> None:
    spec = {"reconstruction": 1, "mutual_information": {"pi_control": {"target": 1, "k_p": 1}}}
    spec |= {"total_correlation": 2, "dimension_kl": {"pi_control": {"target": 2, "k_p": 5}}}
    batch = drawn(blocks(2), 4, 9)
    built = objective.build(parse_terms(spec), "stratified", batch.latents)
    _, values = built(batch.evidence("stratified"), built.knobs(0, CPU), built.noise(4, torch.Generator()))

    def expected(name: str, target: float, k_p: float) -> Tensor:
        value = values[f"term/{name}"]
        return k_p * torch.sigmoid(value - target) + (value - target) * 1e-3

    for name, target, k_p in (("mutual_information", 1, 1), ("dimension_kl", 2, 5)):
        weight = expected(name, target, k_p).clamp(min=0)
        torch.testing.assert_close(values[f"weight/{name}"].double(), weight, rtol=1e-4, atol=1e-5)
    assert "weight/total_correlation" not in values


def test_a_reward_has_no_controller() -> None:
    spec = {"reconstruction": {"pi_control": {"target": -80}}, "kl": 1}
    with pytest.raises(
        ConfigError, match=r"objective.terms.reconstruction.weight: .* reconstruction is a reward"
    ) as caught:
        objective.build(parse_terms(spec), "stratified", blocks(2))
    assert "\n" not in str(caught.value)
