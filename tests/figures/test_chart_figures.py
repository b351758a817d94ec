"""Charts: order, colours, names and numbers of what is drawn."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hfvae_runner.figures import style
from hfvae_runner.figures.exponents import learned_exponents
from hfvae_runner.figures.information import information_per_factor
from hfvae_runner.figures.kl_history import kl_history
from hfvae_runner.figures.label_matrix import label_matrix


def colour(artist):
    return to_hex(artist.get_facecolor() if hasattr(artist, "get_facecolor") else artist.get_color()).upper()


def tick_names(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def render(figure):
    """Layout and fonts are only worked out when a figure is written; a warning there is an error."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_information_ascends_and_the_discrete_variable_stands_last():
    figure = information_per_factor(["a", "c", "b"], [0.5, 2.0, 0.1], [0.6, 2.1, 0.2], [False, True, False])
    axes = figure.axes[0]
    assert tick_names(axes) == ["b", "a", "c"]
    assert [bar.get_height() for bar in axes.patches] == [0.1, 0.5, 2.0]
    assert [colour(bar) for bar in axes.patches] == [style.CONTINUOUS, style.CONTINUOUS, style.DISCRETE]
    assert axes.lines[0].get_ydata().tolist() == [0.2, 0.6, 2.1]
    assert axes.get_ylabel() == "nats per example"
    render(figure)


def test_a_discrete_variable_stands_last_even_with_little_information():
    figure = information_per_factor(["c", "a"], [0.01, 1.0], [0.02, 1.1], [True, False])
    assert tick_names(figure.axes[0]) == ["a", "c"]


def test_the_legend_names_only_the_kinds_that_are_there():
    figure = information_per_factor(["a"], [1.0], [1.1], [False])
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(named) == 2
    assert not any("discrete" in name for name in named)


def test_fifty_factors_fit_on_a_slide():
    figure = information_per_factor([f"z[{i}]" for i in range(50)], [1.0] * 50, [1.0] * 50, [False] * 50)
    assert figure.get_size_inches()[0] < 17
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {90.0}
    render(figure)


def test_the_label_matrix_shows_contributions_and_their_column_totals():
    contributions = np.array([[0.2, 0.001, 0.1], [0.3, 0.002, 0.25]])
    figure = label_matrix(contributions, ["zero", "one"], ["a", "b", "c"], [False, False, True])
    top, heat = figure.axes[:2]
    np.testing.assert_array_equal(heat.images[0].get_array(), contributions)
    assert heat.images[0].get_clim() == (0, 0.3)
    np.testing.assert_allclose([bar.get_height() for bar in top.patches], [0.5, 0.003, 0.35])
    assert [colour(bar) for bar in top.patches] == [style.CONTINUOUS, style.CONTINUOUS, style.DISCRETE]
    assert [text.get_text() for text in top.texts] == ["0.50", "0.00", "0.35"]
    assert tick_names(heat) == ["a", "b", "c"]
    assert [label.get_text() for label in heat.get_yticklabels()] == ["zero", "one"]
    # Column, row, number of each cell that stands out.
    numbers = {(*text.get_position(), text.get_text()) for text in heat.texts}
    assert numbers == {(0, 0, "0.20"), (2, 0, "0.10"), (0, 1, "0.30"), (2, 1, "0.25")}
    render(figure)


def test_a_matrix_of_nothing_is_blank():
    figure = label_matrix(np.zeros((2, 2)), ["0", "1"], ["a", "b"], [False, False])
    top, heat = figure.axes[:2]
    assert heat.images[0].get_clim() == (0, 0.01)
    assert not heat.texts
    assert top.get_ylim()[0] == 0
    render(figure)


def history(last, discrete_at=()):
    last = np.asarray(last)
    kl = np.linspace(0, 1, 5)[:, None] * last
    names = [f"z[{i}]" for i in range(len(last))]
    return kl_history(np.arange(5) * 100, kl, names, [i in discrete_at for i in range(len(last))])


def end_labels(figure):
    return [(text.get_text(), text.get_position()[1]) for text in figure.axes[0].texts]


def test_the_largest_factors_and_every_discrete_one_are_named_at_the_end():
    figure = history([0.9, 0.8, 0.02, 0.7, 0.6, 0.01, 0.5, 0.4, 0.3], discrete_at=[5])
    named = {text for text, _ in end_labels(figure)}
    assert named == {
        "z[0]  0.90", "z[1]  0.80", "z[3]  0.70", "z[4]  0.60", "z[6]  0.50", "z[7]  0.40",
        "z[5]  0.01", "2 more, up to 0.30",
    }  # fmt: skip
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert colour(lines["z[5]"]) == style.DISCRETE
    assert colour(lines["z[2]"]) == colour(lines["z[8]"]) == style.FAINT
    assert len({colour(lines[f"z[{i}]"]) for i in (0, 1, 3, 4, 6, 7)}) == 6
    assert figure.axes[0].get_legend() is None
    render(figure)


@pytest.mark.parametrize("last", [[1.0] * 6, [0.0] * 6, [0.5, 0.51, 0.52, 3.0, 2.99, 0.0], [2.0]])
def test_labels_of_close_lines_do_not_overlap_nor_change_order(last):
    figure = history(last)
    bottom, top = figure.axes[0].get_ylim()
    heights = [height for _, height in end_labels(figure)]
    assert (np.diff(heights) >= 0.05 * top).all()
    assert bottom <= heights[0]
    assert heights[-1] <= top + 1e-9
    values = [float(text.split()[-1]) for text, _ in end_labels(figure)]
    assert values == sorted(values)


def test_labels_of_distant_lines_stay_at_their_ends():
    heights = [height for _, height in end_labels(history([1.0, 3.0, 2.0]))]
    np.testing.assert_allclose(heights, [1, 2, 3])


def test_one_logged_step_is_a_point():
    figure = kl_history(np.array([10]), np.array([[0.3, 0.2]]), ["a", "b"], [False, False])
    assert {line.get_marker() for line in figure.axes[0].lines if line.get_label() in "ab"} == {"o"}
    render(figure)


def test_kl_history_does_not_name_collapsed_factors() -> None:
    figure = kl_history(np.array([1, 2]), np.array([[0.0] * 3, [1.0, 0.001, 0.0]]), ["a", "b", "c"], [False] * 3)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text.startswith("a")] and "2 more, up to 0.00" in texts
    assert not any(text.startswith(("b", "c")) for text in texts)


def runs_in(axes, value):
    """How many runs stand in the bar over a value."""
    return sum(bar.get_height() for bar in axes.patches if bar.get_x() <= value < bar.get_x() + bar.get_width())


def test_exponents_are_sorted_within_each_run():
    exponents = np.array([[2.4, 1.8], [1.8, 2.4], [2.4, 2.2]])
    figure = learned_exponents(exponents, np.full(3, 2.1))
    first, second = figure.axes
    assert [runs_in(first, value) for value in (1.8, 2.2, 2.4)] == [2, 1, 0]
    assert [runs_in(second, value) for value in (1.8, 2.2, 2.4)] == [0, 0, 3]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["$p_{1}$", "$p_{2}$"]
    assert first.get_title(loc="left") == "Learned exponents of 3 runs, smallest first"
    render(figure)


def test_a_root_exponent_that_all_share_is_a_line_through_all():
    figure = learned_exponents(np.array([[1.9, 2.2, 2.3]]), np.array([2.1]))
    assert [axes.lines[0].get_xdata() for axes in figure.axes] == [[2.1, 2.1]] * 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["root, $p_0$ = 2.1"]
    render(figure)


def test_root_exponents_that_differ_have_their_own_histogram():
    figure = learned_exponents(np.array([[2.0], [2.0], [2.0]]), np.array([1.0, 3.0, 3.0]))
    root, first = figure.axes
    assert (runs_in(root, 1), runs_in(root, 3), runs_in(first, 2)) == (1, 2, 3)
    assert {colour(bar) for bar in root.patches} == {style.DISCRETE}
    assert {colour(bar) for bar in first.patches} == {style.CONTINUOUS}
    assert not figure.legends
    render(figure)


def test_no_run_falls_off_the_exponents_axis():
    exponents = np.random.default_rng(0).gamma(3, size=(200, 4))
    figure = learned_exponents(exponents, np.full(200, 9.0))
    for axes in figure.axes:
        assert sum(bar.get_height() for bar in axes.patches) == 200
    same = learned_exponents(np.full((3, 1), 2.0), np.full(3, 2.0))
    assert runs_in(same.axes[0], 2.0) == 3
    left, right = same.axes[0].get_xlim()
    assert right - left >= 0.2
