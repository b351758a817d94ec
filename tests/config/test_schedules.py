import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.config.schedules import Pieces, parse
from hfvae_runner.errors import ConfigError

numbers = st.floats(-1e6, 1e6)
counts = st.integers(1, 10**6)


def between(value: float, *ends: float) -> bool:
    slack = 1e-9 * max(map(abs, ends))
    return min(ends) - slack <= value <= max(ends) + slack


@settings(max_examples=50)
@given(numbers, st.integers(0, 10**9))
def test_a_number_is_constant(value: float, step: int) -> None:
    schedule = parse(value, "gamma")
    assert schedule(step) == value
    assert schedule.last_change == 0


@settings(max_examples=50)
@given(st.sampled_from(["linear", "cosine"]), numbers, numbers, counts, st.data())
def test_a_ramp_goes_from_end_to_end_and_stays(
    kind: str, start: float, end: float, steps: int, data: st.DataObject
) -> None:
    schedule = parse({kind: [start, end, steps]}, "gamma")
    assert schedule(0) == start
    assert schedule(steps) == end
    assert schedule(steps + data.draw(counts)) == end
    assert schedule.last_change == steps
    one, two = sorted(data.draw(st.lists(st.integers(0, steps), min_size=2, max_size=2)))
    assert between(schedule(one), start, schedule(two))
    assert between(schedule(two), schedule(one), end)


def test_the_shapes_between_the_ends() -> None:
    linear, cosine = (parse({kind: [10, 20, 100]}, "gamma") for kind in ("linear", "cosine"))
    assert [linear(step) for step in (25, 50, 75)] == pytest.approx([12.5, 15, 17.5])
    quarter = 10 * (1 - math.cos(math.pi / 4)) / 2
    assert [cosine(step) for step in (25, 50, 75)] == pytest.approx([10 + quarter, 15, 20 - quarter])


points = st.lists(st.integers(0, 1000), min_size=1, max_size=6, unique=True).map(sorted)


@settings(max_examples=50)
@given(points, st.data())
def test_piecewise_passes_through_its_points(steps: list[int], data: st.DataObject) -> None:
    values = [data.draw(numbers) for _ in steps]
    schedule = parse({"piecewise": [list(pair) for pair in zip(steps, values, strict=True)]}, "gamma")
    assert [schedule(step) for step in steps] == values
    assert schedule(steps[-1] + 1) == values[-1]
    assert schedule.last_change == steps[-1]
    if steps[0] > 0:
        assert schedule(steps[0] - 1) == values[0]
    for (step_0, value_0), (step_1, value_1) in pairwise(zip(steps, values, strict=True)):
        step = data.draw(st.integers(step_0, step_1))
        straight = value_0 + (value_1 - value_0) * (step - step_0) / (step_1 - step_0)
        assert schedule(step) == pytest.approx(straight, abs=1e-6)


@settings(max_examples=50)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9), st.integers(1, 20), st.data())
def test_stairs_are_counted_off(start: int, end: int, rise: int, every: int, data: st.DataObject) -> None:
    """Against the loop of the ControlVAE authors: at each multiple of `every` a rise, and no further than the end."""
    ramp = data.draw(st.integers(1, every))
    schedule = parse({"stairs": [start, end, rise, every, ramp]}, "gamma")
    up, value = (1 if end > start else -1), float(start)
    for step in range(every * (abs(end - start) // rise + 3)):
        if step >= every and step % every < ramp:
            value = min(value + rise / ramp, end) if up > 0 else max(value - rise / ramp, end)
        assert schedule(step) == pytest.approx(value, abs=1e-9)
        if step == schedule.last_change - 1:
            assert schedule(step) != end
    assert schedule(schedule.last_change) == schedule(10**9) == end


def test_control_vae_s_set_point() -> None:
    """From 0.5 to 18 by 0.15 every 5,000 steps, of which the 117th reaches the end."""
    stairs = parse({"stairs": [0.5, 18, 0.15, 5000]}, "C")
    found = [stairs(step) for step in (0, 4999, 5000, 9999, 10_000, 584_999, 585_000)]
    assert found == pytest.approx([0.5, 0.5, 0.65, 0.65, 0.8, 17.9, 18])
    assert stairs.last_change == 585_000
    assert parse({"stairs": [0.5, 0.65, 0.15, 10]}, "C").last_change == 10


def test_a_schedule_is_a_value() -> None:
    assert parse({"linear": [0, 5, 10]}, "a") == parse({"linear": [0.0, 5.0, 10]}, "b") == Pieces(((0, 0), (10, 5)))


@settings(max_examples=20)
@given(numbers, numbers, st.integers(0, 200))
def test_a_product_scales_a_schedule(factor: float, end: float, step: int) -> None:
    inner = {"linear": [0, end, 100]}
    product = parse({"product": [factor, inner]}, "gamma")
    assert product(step) == factor * parse(inner, "gamma")(step)
    assert product.last_change == 100
    assert parse({"product": [-1, inner]}, "a") == parse({"negative": inner}, "b")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"product": [2]}, r"product takes \[number, schedule\]"),
        ({"product": [{"linear": [0, 1, 2]}, 2]}, "is not a finite number"),
        ({"product": [2, "a"]}, "gamma: 'a' is neither a number nor a schedule"),
        ("fast", "gamma: 'fast' is neither a number nor a schedule"),
        (True, "gamma: True is neither"),
        (None, "gamma: None is neither"),
        ([1, 2], r"gamma: \[1, 2\] is neither"),
        (math.nan, "gamma: nan is not a finite number"),
        (math.inf, "gamma: inf is not a finite number"),
        ({}, "neither a number nor a schedule"),
        ({"linear": [0, 1, 2], "cosine": [0, 1, 2]}, "neither a number nor a schedule"),
        ({"linaer": [0, 1, 2]}, "unknown schedule 'linaer', expected one of linear, .*; did you mean 'linear'?"),
        ({"linear": [0, 1]}, r"linear takes \[start, end, steps\]"),
        ({"linear": "abc"}, r"linear takes \[start, end, steps\]"),
        ({"linear": 3}, r"linear takes \[start, end, steps\]"),
        ({"linear": [0, 1, 0]}, "whole number from 1 on, not 0"),
        ({"cosine": [0, 1, 2.5]}, "steps of a cosine schedule are a whole number"),
        ({"linear": [0, 1, True]}, "whole number from 1 on, not True"),
        ({"linear": [0, math.inf, 10]}, "gamma: inf is not a finite number"),
        ({"linear": ["a", 1, 10]}, "gamma: 'a' is not a finite number"),
        ({"piecewise": []}, "piecewise takes"),
        ({"piecewise": 3}, "piecewise takes"),
        ({"piecewise": "ab"}, "piecewise takes"),
        ({"piecewise": [[0, 1, 2]]}, "piecewise takes"),
        ({"piecewise": ["ab"]}, "piecewise takes"),
        ({"piecewise": [[10, 1], [10, 2]]}, "steps that grow from 0 on"),
        ({"piecewise": [[-1, 1]]}, "steps that grow from 0 on"),
        ({"piecewise": [[0.5, 1]]}, "steps that grow from 0 on"),
        ({"stairs": [0, 1, 0.1]}, r"stairs takes \[start, end, rise, every\]"),
        ({"stairs": "abcd"}, r"stairs takes \[start, end, rise, every\]"),
        ({"stairs": [0, 1, 0.1, 0]}, r"stairs takes \[start, end, rise, every\]"),
        ({"stairs": [0, 1, 0.1, 2.5]}, r"stairs takes \[start, end, rise, every\]"),
        ({"stairs": [0, 1, 0.1, 10, 11]}, "a ramp of at most `every`"),
        ({"stairs": [0, 1, 0, 10]}, "the rise of stairs is a number above 0, not 0"),
        ({"stairs": [0, math.inf, 0.1, 10]}, "gamma: inf is not a finite number"),
        ({"pi_control": {"target": 1}}, "gamma: pi_control is only for the whole weight of a term"),
        ({"piecewise": [[0, None]]}, "gamma: None is not a finite number"),
    ],
)
def test_what_is_no_schedule_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")) as caught:
        parse(value, "gamma")
    assert "\n" not in str(caught.value)
