"""Two metrics against each other: which settings are on the front, and what is drawn."""

import io
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from hfvae_runner.figures import sweep
from hfvae_runner.figures.looks import Key
from hfvae_runner.figures.trade_off import Axis, Panel, front, means, trade_off


def render(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def axis(*values, better="higher"):
    return Axis("metric", np.array(values, float), better)


def large(axes):
    """(x, y) of the settings' means."""
    return [tuple(dot) for line in axes.lines if line.get_markeredgecolor() == "white" for dot in line.get_xydata()]


@pytest.mark.parametrize(
    ("better", "expected"),
    [
        (("higher", "higher"), [1, 2]),
        (("lower", "lower"), [0]),
        (("higher", "lower"), [0, 3, 2]),
        (("lower", "higher"), [0, 1]),
    ],
)
def test_the_front_is_what_no_other_setting_beats_in_both(better, expected):
    x, y = axis(0, 1, 3, 2, better=better[0]), axis(0, 2, 1, 0.5, better=better[1])
    assert front(x, y, [0, 1, 2, 3]) == expected


def test_the_front_is_of_means_and_without_the_runs_that_lack_either_metric():
    x, y = axis(0, 4, 1, 9), axis(0, 4, 1, np.nan)
    assert front(x, y, [0, 0, 1, 1]) == [0]
    assert means(x.values, [0, 0, 1, 1]) == {0: 2, 1: 5}
    assert means(y.values, [0, 0, 1, 1]) == {0: 2, 1: 1}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9))
def test_the_front_beats_all_others_and_nobody_beats_it(places):
    x, y = (axis(*values) for values in zip(*places, strict=True))
    best = set(front(x, y, range(len(places))))
    for own, other in product(range(len(places)), repeat=2):
        beaten = all(a >= b for a, b in zip(places[other], places[own], strict=True)) and places[other] != places[own]
        assert not (own in best and beaten)
    for own in set(range(len(places))) - best:
        assert any(all(a >= b for a, b in zip(places[each], places[own], strict=True)) for each in best)


def test_a_setting_is_drawn_at_its_means_with_its_spread():
    panel = Panel(axis(1, 3, 7), axis(2, 6, 1), [0, 1])
    color = Key("beta", ["1", "1", "4"], ["1", "4"])
    figure = trade_off("Title", [panel], [0, 0, 1], color)
    (axes,) = figure.axes
    assert large(axes) == [(2, 4), (7, 1)]
    ends = sorted(tuple(np.round(segment, 6).ravel()) for bar in axes.collections for segment in bar.get_segments())
    (left, _, right, _), (_, low, _, high) = ends
    assert (right - left, high - low) == (pytest.approx(2 * 2**0.5, abs=1e-5), pytest.approx(4 * 2**0.5, abs=1e-5))
    assert len({to_hex(line.get_color()) for line in axes.lines if line.get_markeredgecolor() == "white"}) == 2
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert axes.get_xlabel() == "metric (higher is better)"
    render(figure)


@pytest.mark.parametrize(("better", "steps"), [("higher", "steps-pre"), ("lower", "steps-post")])
def test_the_border_of_the_front_lies_on_the_worse_side(better, steps):
    panel = Panel(axis(1, 2, better=better), axis(2, 1), [0, 1])
    figure = trade_off("Title", [panel], [0, 1])
    assert [line.get_drawstyle() for line in figure.axes[0].lines if line.get_linestyle() == "--"] == [steps]
    render(figure)


def test_a_third_setting_has_sizes_and_a_legend():
    labels = ["1", "2", "4"]
    key = Key("beta", labels, labels)
    figure = trade_off("Title", [Panel(axis(1, 2, 3), axis(1, 2, 3))], [0, 1, 2], None, key, key)
    sizes = [line.get_markersize() for line in figure.axes[0].lines]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    assert len(figure.legends[0].get_texts()) == 6
    render(figure)


def test_many_values_of_one_setting_keep_their_own_colours():
    labels = [str(i) for i in range(9)]
    numbers = np.arange(9.0)
    figure = trade_off("Title", [Panel(Axis("x", numbers), Axis("y", numbers))], range(9), Key("gamma", labels, labels))
    assert len({to_hex(line.get_color()) for line in figure.axes[0].lines}) == 9
    assert figure.axes[0].get_xlabel() == "x"
    render(figure)


def test_runs_of_which_none_has_both_numbers_leave_the_axes_empty() -> None:
    nothing = np.full(3, np.nan)
    figure = trade_off("t", [Panel(Axis("x", nothing), Axis("y", np.arange(3.0)))], [0, 1, 1])
    assert not figure.axes[0].lines
    against = sweep.against("t", np.arange(3.0), {"y": nothing}, [0, 0, 1])
    assert not against.axes[0].lines
