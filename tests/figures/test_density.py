"""Figures of two-dimensional latents and data."""

import io

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.contour import ContourSet

from hfvae_runner.figures.density import PANEL, SIZE, aggregate_posterior, points

AXIS = np.linspace(-5, 5, 201)
EXTENT = (-5.0, 5.0, -5.0, 5.0)


def gaussian(mean):
    x, y = np.meshgrid(AXIS, AXIS)
    return np.exp(-((x - mean[0]) ** 2 + (y - mean[1]) ** 2) / 2) / (2 * np.pi)


def test_the_prior_contours_hold_the_shares_that_the_legend_says():
    prior = gaussian((0, 0))
    figure = aggregate_posterior(gaussian((1, 0)), EXTENT, prior, np.zeros((3, 2)))
    (contours,) = [item for item in figure.axes[0].collections if isinstance(item, ContourSet)]
    cell = (AXIS[1] - AXIS[0]) ** 2
    shares = [prior[prior >= level].sum() * cell for level in contours.levels]
    np.testing.assert_allclose(shares, [0.99, 0.9, 0.5], atol=0.01)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "50, 90, 99 %" in legend[0]
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_the_density_lies_the_right_way_up_and_the_means_on_it():
    means = np.array([[1.0, -2.0], [0.5, 0.5]])
    figure = aggregate_posterior(gaussian((1, -2)), EXTENT, gaussian((0, 0)), means)
    axes = figure.axes[0]
    picture = axes.images[0]
    assert picture.origin == "lower"
    assert tuple(picture.get_extent()) == EXTENT
    row, column = np.unravel_index(picture.get_array().argmax(), picture.get_array().shape)
    assert (round(AXIS[column], 6), round(AXIS[row], 6)) == (1, -2)
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), means)
    assert axes.get_xlim() == axes.get_ylim() == (-5, 5)


def test_the_density_fills_its_panel_whatever_the_numbers_beside_it():
    for density, reach in ((gaussian((0, 0)), 3.5), (1e-7 * gaussian((0, 0)), 1234.5)):
        extent = (-reach, reach, -reach, reach)
        figure = aggregate_posterior(density, extent, gaussian((0, 0)), np.zeros((3, 2)))
        figure.savefig(io.BytesIO(), format="png", dpi=40)
        assert tuple(figure.get_size_inches()) == SIZE
        np.testing.assert_allclose(figure.axes[0].get_position().bounds, PANEL, rtol=1e-3)
        box = figure.get_tightbbox()
        assert box.x0 > 0
        assert box.x1 < SIZE[0]


def test_every_point_is_joined_to_its_reconstruction():
    generator = np.random.default_rng(0)
    data, reconstructed = generator.normal(size=(2, 7, 2))
    figure = points(data, reconstructed)
    axes = figure.axes[0]
    (joins,) = [item for item in axes.collections if isinstance(item, LineCollection)]
    np.testing.assert_array_equal(np.stack(joins.get_segments()), np.stack([data, reconstructed], axis=1))
    scattered = [item.get_offsets() for item in axes.collections if item is not joins]
    np.testing.assert_array_equal(scattered[0], data)
    np.testing.assert_array_equal(scattered[1], reconstructed)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["data", "reconstruction"]
    assert axes.get_aspect() == 1
    figure.savefig(io.BytesIO(), format="png", dpi=40)
