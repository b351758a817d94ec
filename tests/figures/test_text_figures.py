"""Figures of text models: what is drawn, and that it can be written."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hfvae_runner.figures import style
from hfvae_runner.figures.attribute_matrix import attribute_matrix
from hfvae_runner.figures.topic_correlation import topic_correlation
from hfvae_runner.figures.topic_words import topic_words


def render(figure):
    """Layout and fonts are only worked out when a figure is written; a warning there is an error."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def names(labels):
    return [label.get_text() for label in labels]


def test_correlations_stand_in_their_groups():
    correlation = np.eye(5)
    correlation[0, 3] = correlation[3, 0] = -0.4
    correlation[4] = correlation[:, 4] = np.nan
    figure = topic_correlation(correlation, ["group_1", "group_2"], [2, 3])
    axes = figure.axes[0]
    (picture,) = axes.images
    np.testing.assert_array_equal(picture.get_array().filled(np.nan), correlation)
    assert picture.get_clim() == (-1, 1)
    assert to_hex(picture.cmap(picture.get_array()[4, 4])).upper() == style.FAINT
    # Lines between topics 1 and 2, names in the middle of each group.
    assert [list(line.get_ydata()) for line in axes.lines[:1]] == [[1.5, 1.5]]
    assert list(axes.lines[1].get_xdata()) == [1.5, 1.5]
    assert len(axes.lines) == 2
    assert axes.get_xticks().tolist() == [0.5, 3]
    assert names(axes.get_xticklabels()) == names(axes.get_yticklabels()) == ["group_1", "group_2"]
    render(figure)


def test_one_group_has_no_lines():
    figure = topic_correlation(np.eye(50), ["z"], [50])
    assert not figure.axes[0].lines
    render(figure)


def test_topics_stand_in_the_order_given():
    figure = topic_words(["a", "b"], [2.06, 0.5], [0.4, -0.25], [["jesus", "$god$"], ["gun", "crime"]])
    bars, text = figure.axes
    assert [bar.get_width() for bar in bars.patches] == [2.06, 0.5]
    assert names(bars.get_yticklabels()) == ["a", "b"]
    assert bars.get_ylim() == (1.5, -0.5)
    drawn = [(each.get_position()[1], each.get_text()) for each in text.texts[2:]]
    assert drawn == [(0, "0.40"), (0, r"jesus, \$god\$"), (1, "-0.25"), (1, "gun, crime")]
    render(figure)


@pytest.mark.parametrize("topics", [1, 50])
def test_one_topic_or_fifty_fit(topics):
    words = [["extermination"] * 10] * topics
    figure = topic_words([f"group_1[{i}]" for i in range(topics)], [0.0] * topics, [0.3] * topics, words)
    render(figure)
    text = figure.axes[1]
    right = max(each.get_window_extent().x1 for each in text.texts)
    assert right <= figure.bbox.x1


def test_attributes_are_rows_and_factors_columns():
    information = np.array([[0.2, 0.0, 0.1], [0.0, 0.5, 0.0]])
    figure = attribute_matrix(information, ["Sports", "Space"], ["z[0]", "z[1]", "z[2]"])
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), information)
    assert axes.images[0].get_clim() == (0, 0.5)
    assert names(axes.get_xticklabels()) == ["z[0]", "z[1]", "z[2]"]
    assert names(axes.get_yticklabels()) == ["Sports", "Space"]
    render(figure)


def test_nothing_known_is_blank_and_fifty_factors_fit():
    figure = attribute_matrix(np.zeros((10, 50)), [f"topic {i}" for i in range(10)], [f"z[{i}]" for i in range(50)])
    assert figure.axes[0].images[0].get_clim() == (0, 0.01)
    assert figure.get_size_inches()[0] < 19
    render(figure)
