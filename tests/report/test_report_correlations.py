"""Rank correlations of the metrics over a sweep's runs."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reporting import config, drawn, figure_names, leave, metrics
from scipy import stats

from hfvae_runner.report import main
from hfvae_runner.report.correlations import spearman, table


@settings(max_examples=20)
@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=8), st.randoms())
def test_spearman_is_scipy_s(x: list[float], random: random.Random) -> None:
    y = random.sample(x, len(x))
    (found,) = spearman(np.column_stack([x, y])[None])
    if len(set(x)) > 1:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic)
    else:
        assert math.isnan(found)


def test_runs_without_one_of_the_numbers_do_not_count() -> None:
    x, y = np.array([1.0, 2, 3, np.nan, 0]), np.array([3.0, 2, 1, 7, np.nan])
    none = np.full(5, np.nan)
    cells = table([x, none], [x, y])
    assert cells[0].tolist() == pytest.approx([1, -1]) and np.isnan(cells[1]).all()


def runs(folder: Path, count: int) -> None:
    for seed in range(count):
        own = metrics(elbo=-100.0 - seed, mig=0.1 * seed, kl=2.0 + seed**2, sap=0.5)
        leave(folder / str(seed), config(seed=seed), own)


def test_the_figure_names_what_is_the_same_in_all_runs(tmp_path: Path) -> None:
    runs(tmp_path, 5)
    plot = drawn(tmp_path)["correlations"]
    assert "over 5 runs" in plot.caption and "Left out" in plot.caption and "SAP" in plot.caption
    axes = plot.figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ELBO", "KL", "MIG"]
    minus = "\N{MINUS SIGN}1.00"
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    # The first row, at the bottom, is the last metric: MIG.
    assert [texts[column, 0] for column in range(3)] == [minus, "1.00", "1.00"]
    assert [texts[column, 2] for column in range(3)] == ["1.00", minus, minus]


def test_a_few_runs_have_none(tmp_path: Path) -> None:
    runs(tmp_path, 4)
    assert "correlations" not in drawn(tmp_path)


def test_it_is_in_the_report_and_goes_with_its_runs(tmp_path: Path) -> None:
    runs(tmp_path, 5)
    main([str(tmp_path)])
    assert "correlations" in figure_names(tmp_path)
    (tmp_path / "0" / "metrics.json").unlink()
    main([str(tmp_path)])
    assert "correlations" not in figure_names(tmp_path)
