"""Reconstructions, traversals and samples: which image stands where, and what is written beside it."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from hfvae_runner.figures import style
from hfvae_runner.figures.prior_samples import prior_images, prior_points
from hfvae_runner.figures.reconstructions import reconstructions
from hfvae_runner.figures.traversals import traversals


def shades(count, first=0.0, size=(1, 2, 2)):
    """Flat images, each of its own brightness, by which it is found again."""
    values = (first + np.arange(count)) / 1000
    return np.broadcast_to(values[:, None, None, None], (count, *size)).copy()


def layout(figure):
    """Rows of brightness x 1000, top to bottom, and the top of each row."""
    tiles = [(*image.get_extent(), float(image.get_array().flat[0]) * 1000) for image in figure.axes[0].images]
    tops = sorted({round(upper, 3) for *_, upper, _ in tiles})
    rows = [[round(tile[4]) for tile in sorted(tiles) if round(tile[3], 3) == top] for top in tops]
    return rows, tops


def texts(figure):
    return {text.get_text(): text for text in figure.axes[0].texts}


def test_reconstructions_stand_below_their_originals():
    figure = reconstructions(shades(13), shades(13, first=500))
    rows, _ = layout(figure)
    assert rows == [
        list(range(10)),
        list(range(500, 510)),
        list(range(10, 13)),
        list(range(510, 513)),
    ]
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["original", "reconstruction"] * 2
    assert figure.texts[0].get_text() == "Originals and their reconstructions"
    assert reconstructions(shades(1), shades(1), "On the test split").texts[0].get_text() == "On the test split"


def test_colour_images_keep_their_channels_and_their_shape():
    images = shades(2, size=(3, 6, 4))
    images[:, 2] = 1.7
    figure = reconstructions(images, images)
    picture = figure.axes[0].images[0]
    assert picture.get_array().shape == (6, 4, 3)
    np.testing.assert_array_equal(picture.get_array()[0, 0], [0, 0, 1])
    left, right, lower, upper = picture.get_extent()
    assert (lower - upper) / (right - left) == pytest.approx(6 / 4, abs=0.05)
    box = figure.axes[0].get_position()
    width, height = figure.get_size_inches()
    assert box.height * height / (box.width * width) == pytest.approx(2 * (6 / 4) / 2)


def test_reconstructions_of_other_images_are_refused():
    with pytest.raises(ValueError, match="cannot stand above"):
        reconstructions(shades(3), shades(2))


def example_traversals():
    return traversals(
        images=[shades(3, 100), shades(3, 200), shades(4, 300), shades(3, 400)],
        names=["style[0]", "style[1]", "digit", "style[2]"],
        kl=[0.04, 2.345, 1.25, 0.5],
        information=[-0.001, 2.2, 1.127, 0.4],
        values=np.linspace(-3, 3, 3),
        discrete=[False, False, True, False],
    )


def test_traversal_rows_are_ordered_by_information():
    rows, _ = layout(example_traversals())
    assert rows == [[200, 201, 202], [300, 301, 302, 303], [400, 401, 402], [100, 101, 102]]


def test_each_row_names_its_factor_with_its_information_and_kl():
    figure = example_traversals()
    _, tops = layout(figure)
    written = texts(figure)
    names = ["style[1]", "digit", "style[2]", "style[0]"]
    numbers = [
        "I(x; z) 2.20   KL 2.35 nats",
        "I(x; z) 1.13   KL 1.25 nats",
        "I(x; z) 0.40   KL 0.50 nats",
        "I(x; z) 0.00   KL 0.04 nats",
    ]
    for top, name, number in zip(tops, names, numbers, strict=True):
        for text in (written[name], written[number]):
            x, y = text.get_position()
            assert x < 0
            assert top < y < top + 1
    assert to_hex(written["digit"].get_color()).upper() == style.DISCRETE
    assert to_hex(written["style[1]"].get_color()).upper() == style.INK


def test_categories_are_numbered_and_latent_values_stand_once():
    figure = example_traversals()
    _, tops = layout(figure)
    captions = [text for text in figure.axes[0].texts if text.get_position()[0] > 0]
    below_digit = [text.get_text() for text in captions if tops[1] < text.get_position()[1] < tops[2]]
    below_last = [text.get_text() for text in captions if text.get_position()[1] > tops[3]]
    assert below_digit == ["0", "1", "2", "3"]
    assert below_last == ["\N{MINUS SIGN}3", "0", "3"]
    assert len(captions) == 7
    # A caption takes room of its own: the row below it does not cover it.
    assert tops[2] - tops[1] > 1.3
    assert tops[1] - tops[0] == pytest.approx(1)


def test_a_model_with_a_discrete_variable_alone_has_no_latent_values():
    figure = traversals([shades(4)], ["c"], [1.0], [1.0], [], [True])
    assert "category" in texts(figure)
    assert "latent value" not in texts(figure)


def test_small_errors_of_the_traversed_values_are_not_printed():
    figure = traversals([shades(2)], ["z"], [1.0], [1.0], [-1e-17, 1 / 3], [False])
    assert {"0", "0.33"} <= texts(figure).keys()


def test_samples_stand_row_by_row_and_each_row_names_its_category():
    images = shades(6).reshape(2, 3, 1, 2, 2)
    figure = prior_images(images, "digit")
    rows, tops = layout(figure)
    assert rows == [[0, 1, 2], [3, 4, 5]]
    written = texts(figure)
    assert list(written) == ["digit = 0", "digit = 1"]
    for top, text in zip(tops, written.values(), strict=True):
        assert text.get_position()[0] < 0
        assert top < text.get_position()[1] < top + 1
    assert figure.texts[0].get_text() == "Samples from the prior, for each category of digit"


def test_samples_of_the_whole_prior_have_no_names():
    figure = prior_images(shades(6, size=(3, 4, 2)).reshape(3, 2, 3, 4, 2))
    rows, tops = layout(figure)
    assert rows == [[0, 1], [2, 3], [4, 5]]
    np.testing.assert_allclose(np.diff(tops), 2)
    assert not texts(figure)
    assert figure.texts[0].get_text() == "Samples from the prior"


def test_a_long_name_has_room():
    figure = prior_images(shades(2).reshape(2, 1, 1, 2, 2), "a_variable_with_a_long_name")
    figure.draw_without_rendering()
    assert min(text.get_window_extent().x0 for text in figure.axes[0].texts) > 0


def test_two_dimensional_samples_lie_on_the_data():
    data, samples = np.random.default_rng(0).normal(size=(2, 5, 2))
    figure = prior_points(data, samples[:3])
    drawn = [scatter.get_offsets() for scatter in figure.axes[0].collections]
    np.testing.assert_array_equal(drawn[0], data)
    np.testing.assert_array_equal(drawn[1], samples[:3])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["data", "decoded prior sample"]


def test_matplotlibs_own_settings_are_left_alone():
    before = dict(matplotlib.rcParams)
    reconstructions(shades(1), shades(1))
    assert dict(matplotlib.rcParams) == before
