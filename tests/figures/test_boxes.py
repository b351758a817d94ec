"""Box plots: whose runs are in which box, and where its lines are."""

import io

import numpy as np
from matplotlib.colors import to_hex

from hfvae_runner.figures.boxes import boxes
from hfvae_runner.figures.looks import Key


def test_a_box_holds_its_own_runs():
    kinds = Key("objective", ["a", "b", "a", "a", "b", "a", "a", "b"], ["a", "b"])
    values = np.array([1.0, 5.0, 2.0, 3.0, 6.0, 4.0, 100.0, np.nan])
    figure = boxes({"MIG": values}, kinds)
    (axes,) = figure.axes
    first, second = axes.patches
    assert (first.get_y(), first.get_y() + first.get_height()) == (2, 4)
    assert (second.get_y(), second.get_y() + second.get_height()) == (5.25, 5.75)
    assert to_hex(first.get_facecolor()) != to_hex(second.get_facecolor())
    dots = [line.get_ydata().tolist() for line in axes.lines]
    assert dots == [[1, 2, 3, 4, 100], [5, 6]]
    levels = {float(segment[0][1]) for lines in axes.collections for segment in lines.get_segments()}
    # Medians 3 and 5.5; a whisker ends at 4, since 100 is further away than 1.5 times the box.
    assert {3.0, 5.5} <= levels
    assert 100.0 not in levels
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_a_kind_without_the_metric_keeps_its_place_and_long_names_stand_upright():
    names = ["objective_of_a_long_name", "$another_one"]
    figure = boxes({"MIG": np.array([1.0, np.nan])}, Key("objective", names, names))
    (axes,) = figure.axes
    assert len(axes.patches) == 1
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == ["objective_of_a_long_name", r"\$another_one"]
    assert labels[0].get_rotation() == 90
    figure.savefig(io.BytesIO(), format="png", dpi=40)
