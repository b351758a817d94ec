"""Heat maps: which number stands where, and how the places without one look."""

import io

import numpy as np

from hfvae_runner.figures.heat_map import DONE, NOT_DONE, NOT_TRIED, heat_maps
from hfvae_runner.figures.picture_grid import Side

NAN = np.nan


def test_numbers_stand_at_their_places_and_gaps_say_why():
    values = np.array([[1.0, 2.5, NAN], [NAN, NAN, -3.0]])
    states = [[DONE, DONE, NOT_DONE], [NOT_TRIED, DONE, DONE]]
    figure = heat_maps("Title", Side("gamma", ["1", "4"]), Side("beta", ["1", "2", "4"]), {"MIG": values}, states)
    axes = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "1.00", (1, 0): "2.50", (2, 1): "\N{MINUS SIGN}3.00"}
    marked = {(patch.get_x() + 0.5, patch.get_y() + 0.5): patch.get_hatch() for patch in axes.patches}
    assert marked == {(2, 0): "xxx", (0, 1): None, (1, 1): "..."}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["not completed", "no value", "not tried"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4"]
    assert axes.images[0].origin == "lower"
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_a_full_grid_has_no_legend_and_narrow_places_no_numbers():
    values = np.ones((2, 7))
    side = Side("$x", [str(i) for i in range(7)])
    figure = heat_maps("$T", Side("y", ["1", "4"]), side, {"a": values, "b": values}, [[DONE] * 7] * 2)
    assert not figure.legends
    assert not figure.axes[0].texts
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_correlations_have_the_whole_range_and_long_names_are_turned():
    values = np.array([[1.0, -0.5], [-0.5, 1.0], [NAN, NAN]])
    columns = Side("", ["mutual information gap", "modularity"])
    rows = Side("", ["mutual information gap", "modularity", "ELBO"])
    figure = heat_maps("T", rows, columns, {"a": values}, [[DONE] * 2] * 3, correlations=True)
    (axes, *_) = figure.axes
    assert axes.images[0].get_clim() == (-1, 1)
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {35}
    assert len(axes.texts) == 4 and len(axes.patches) == 2
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    empty = heat_maps("T", rows, columns, {"a": np.full((3, 2), NAN)}, [[DONE] * 2] * 3, correlations=True)
    assert not empty.axes[0].texts
