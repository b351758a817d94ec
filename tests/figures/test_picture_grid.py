"""Pictures of many runs in one table: what stands where."""

import io

import numpy as np
import pytest

from hfvae_runner.figures.picture_grid import Side, picture_grid


def flat(shade):
    return np.full((4, 4, 3), shade, np.uint8)


def test_each_picture_stands_at_its_row_and_column():
    cells = [[flat(10), flat(20), flat(30)], [flat(40), "not completed", flat(60)]]
    figure = picture_grid("Title", Side("alpha", ["0", "1"]), Side("beta", ["1", "2", "4"]), cells)
    axes = figure.axes[0]
    placed = {}
    for image in axes.images:
        left, right, lower, upper = image.get_extent()
        placed[int(upper), int(left)] = int(image.get_array()[0, 0, 0])
        assert lower - upper == pytest.approx(right - left)
    assert placed == {(0, 0): 10, (0, 1): 20, (0, 2): 30, (1, 0): 40, (1, 2): 60}
    at = {text.get_text(): text.get_position() for text in axes.texts}
    assert [at[f"beta = {value}"][0] for value in (1, 2, 4)] == [0.5, 1.5, 2.5]
    assert [at[f"alpha = {value}"][1] for value in (0, 1)] == [0.5, 1.5]
    assert at["not completed"] == (1.5, 1.5)
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_settings_are_no_formulas_and_many_columns_fit_a_slide():
    side = Side("objective", [f"$\\bad{i}$" for i in range(12)])
    figure = picture_grid("$\\title", side, side, [[flat(0)] * 12] * 12)
    assert figure.get_size_inches()[0] < 17
    figure.savefig(io.BytesIO(), format="png", dpi=30)
