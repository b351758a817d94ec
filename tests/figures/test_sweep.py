"""Figures of many runs: what is drawn where, and which look stands for what."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hfvae_runner.figures import style
from hfvae_runner.figures.looks import Key
from hfvae_runner.figures.sweep import against


def render(figure):
    """Layout and fonts are only worked out when a figure is written; a warning there is an error."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def drawn(axes):
    """(x, y) of every line through means, and of every set of dots."""
    lines = [line for line in axes.lines if line.get_linestyle() != "None"]
    dots = [line for line in axes.lines if line.get_linestyle() == "None"]
    return [[line.get_xydata().tolist() for line in each] for each in (lines, dots)]


X = np.array([1.0, 1.0, 4.0, 1.0, 4.0])
ELBO = np.array([-3.0, -1.0, -5.0, -7.0, np.nan])
OBJECTIVE = Key("objective", ["hfvae", "hfvae", "hfvae", "vae", "vae"], ["hfvae", "vae"])


def test_a_line_goes_through_the_means_of_its_own_runs():
    figure = against("beta", X, {"ELBO": ELBO}, [0, 0, 0, 1, 1], OBJECTIVE)
    (axes,) = figure.axes
    lines, dots = drawn(axes)
    assert lines == [[[1, -2], [4, -5]], [[1, -7]]]
    assert dots == [[[1, -3], [1, -1], [4, -5]], [[1, -7]]]
    assert [to_hex(line.get_color()).upper() for line in axes.lines] == [
        *[style.SEQUENCE[0]] * 2,
        *[style.SEQUENCE[1]] * 2,
    ]
    assert legend(figure) == ["objective hfvae", "objective vae"]
    render(figure)


def test_a_shape_tells_a_second_setting_apart():
    gamma = Key("gamma", ["4", "12", "4", "4", "4"], ["4", "12"])
    figure = against("beta", X, {"ELBO": ELBO}, [0, 2, 0, 1, 1], OBJECTIVE, gamma)
    looks = {(line.get_linestyle(), line.get_marker()) for line in figure.axes[0].lines}
    assert looks == {("-", "None"), ("None", "o"), ("--", "None"), ("None", "s")}
    assert legend(figure) == ["objective hfvae", "objective vae", "gamma 4", "gamma 12"]
    render(figure)


def test_without_anything_to_tell_apart_there_is_no_legend():
    figure = against("beta", X, {"ELBO": ELBO}, [0] * 5)
    assert not figure.legends
    render(figure)


def test_the_ticks_are_the_values_as_they_were_spelt():
    x = np.array([1e-4, 1e-3])
    figure = against("lr", x, {"KL": np.array([1.0, 2.0])}, [0, 0], ticks={1e-4: "0.0001", 1e-3: "1e-3"})
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.0001", "1e-3"]
    assert against("beta", X, {"KL": ELBO}, [0] * 5).axes[0].get_xscale() == "linear"
    zero = against("beta", np.array([0.0, 10.0]), {"KL": np.array([1.0, 2.0])}, [0, 0])
    assert zero.axes[0].get_xscale() == "linear"
    render(figure)


def test_a_gap_in_the_grid_leaves_no_axis_without_numbers():
    figure = against("beta", X, {f"metric {i}": ELBO for i in range(5)}, [0] * 5)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"metric {i}" for i in range(5)]
    render(figure)
    labelled = [bool(axes.xaxis.get_tick_params()["labelbottom"]) for axes in figure.axes]
    assert labelled == [False, False, True, True, True]


def test_the_band_is_one_standard_deviation_of_the_sample_to_either_side():
    figure = against("beta", X, {"ELBO": ELBO}, [0, 0, 0, 1, 1], OBJECTIVE)
    (band,) = figure.axes[0].collections
    corners = {tuple(np.round(corner, 6)) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {(1, round(-2 - 2**0.5, 6)), (1, round(-2 + 2**0.5, 6)), (4, -5)}
    single = against("beta", X[1:], {"ELBO": ELBO[1:]}, [0, 0, 1, 1])
    assert not single.axes[0].collections
    render(figure)


def test_a_setting_is_no_formula():
    key = Key("$\\bad", ["$\\bad{$"] * 2, ["$\\bad{$"])
    figure = against("$\\bad{$", X[:2], {"KL": ELBO[:2]}, [0, 0], key, key, {1.0: "$\\bad{$"})
    render(figure)
    assert legend(figure)[0] == "\\$\\bad \\$\\bad{\\$"


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 2, 4], "linear"),
        ([1, 10, 100], "log"),
        ([0, 1, 2], "linear"),
        ([0, 10, 100, 1000], "symlog"),
        ([-100, 1, 100], "linear"),
        ([0, 0], "linear"),
    ],
)
def test_values_over_a_wide_range_do_not_lie_on_top_of_each_other(values, scale):
    figure = against("alpha", np.array(values, float), {"ELBO": np.arange(len(values), dtype=float)}, [0] * len(values))
    (axes,) = figure.axes
    assert axes.get_xscale() == scale
    render(figure)
    places = axes.transData.transform([(each, 0) for each in sorted(set(values))])[:, 0]
    assert (np.diff(places) > 0.1 * axes.bbox.width).all()
