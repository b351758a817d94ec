"""Pictures below each other: their order, sizes and headings."""

import io

import numpy as np

from hfvae_runner.figures.picture_column import picture_column


def test_pictures_keep_their_shape_and_a_missing_one_says_why() -> None:
    wide, small = np.zeros((400, 1000, 3), np.uint8), np.full((100, 100, 3), 255, np.uint8)
    figure = picture_column("$title", [("first", wide), ("second", "not completed"), ("third", small)])
    first, third = figure.axes
    width, height = figure.get_size_inches()
    for axes, expected in ((first, (10, 4)), (third, (2, 2))):
        box = axes.get_position()
        np.testing.assert_allclose((box.width * width, box.height * height), expected)
    assert first.get_position().y0 > third.get_position().y1
    assert [text.get_text() for text in figure.texts] == ["$title", "first", "second", "not completed", "third"]
    tops = [text.get_position()[1] for text in figure.texts]
    assert tops == sorted(tops, reverse=True)
    assert third.get_position().y0 >= 0
    figure.savefig(io.BytesIO(), format="png", dpi=40)
