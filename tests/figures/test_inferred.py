"""The inferred value of a latent against a factor: what is drawn where."""

import io

import numpy as np

from hfvae_runner.figures.inferred import Inferred, inferred


def test_medians_and_ranges_of_every_value() -> None:
    values = np.repeat([0, 2], 101)
    means = np.concatenate([np.linspace(-1, 1, 101), np.linspace(4, 6, 101)])
    figure = inferred([Inferred("$x", values, "z[3]", means, 0.874)])
    (axes,) = figure.axes
    (medians,) = axes.lines
    np.testing.assert_allclose(medians.get_xydata(), [[0, 0], [2, 5]], atol=1e-12)
    (ranges,) = axes.collections
    np.testing.assert_allclose(ranges.get_segments(), [[[0, -0.9], [0, 0.9]], [[2, 4.1], [2, 5.9]]], atol=1e-12)
    assert axes.get_title(loc="left") == r"\$x explains 87% of z[3]"
    assert axes.get_xticks().tolist() == [0, 2]
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_a_panel_per_factor_and_few_ticks_for_many_values() -> None:
    one = Inferred("orientation", np.arange(40), "z[0]", np.sin(np.arange(40)), 0.1)
    figure = inferred([one] * 5)
    assert len(figure.axes) == 5
    assert len(figure.axes[0].get_xticks()) < 15
    figure.savefig(io.BytesIO(), format="png", dpi=40)
