"""Which figures a set of runs allows, and which runs are in them."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from reporting import config, drawn, figure_names, grid, leave, metrics

from hfvae_runner.report import main

FAILED = {"status": "diverged", "reason": "kl is not finite"}
ALWAYS = {"information_and_correlation", "pareto"}


def test_each_number_that_varies_has_a_figure(tmp_path: Path) -> None:
    grid(tmp_path, beta=[1, 4], lr=[0.1, 0.2], objective=["hfvae", "vae"])
    found = drawn(tmp_path)
    assert {"against_beta", "against_lr"} == {name for name in found if name.startswith("against")}
    assert found.keys() >= ALWAYS
    assert all(plot.caption.endswith(".") for plot in found.values())


def test_numbers_that_move_together_share_a_figure(tmp_path: Path) -> None:
    for value in (1, 4):
        leave(tmp_path / str(value), config(beta=value, gamma=value), metrics())
    found = drawn(tmp_path)
    assert found.keys() == ALWAYS | {"against_beta"}
    assert "against beta, and gamma with it" in found["against_beta"].caption


def test_no_line_joins_different_objectives(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(objective="hfvae", beta=12), metrics())
    leave(tmp_path / "b", config(objective="vae", beta=1), metrics())
    assert drawn(tmp_path).keys() == ALWAYS


def test_one_run_has_no_figure_and_old_ones_go(tmp_path: Path) -> None:
    grid(tmp_path, beta=[1, 4])
    main([str(tmp_path)])
    assert figure_names(tmp_path) == ALWAYS | {"against_beta"}
    (tmp_path / "figures" / "mine.png").touch()
    (tmp_path / "beta=4" / "metrics.json").unlink()
    main([str(tmp_path)])
    assert figure_names(tmp_path) == {"mine"}


def test_names_that_files_are_spared_do_not_collide(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(**{"β": 1, "γ": 1, "x" * 200: 1}), metrics())
    leave(tmp_path / "b", config(**{"β": 2, "γ": 1, "x" * 200: 1}), metrics())
    leave(tmp_path / "c", config(**{"β": 1, "γ": 2, "x" * 200: 1}), metrics())
    leave(tmp_path / "d", config(**{"β": 1, "γ": 1, "x" * 200: 2}), metrics())
    names = {name for name in drawn(tmp_path) if name.startswith("against")}
    assert names == {"against__", "against___2", f"against_{'x' * 92}"}


def test_a_knob_is_no_formula(tmp_path: Path) -> None:
    for value in (1, 2):
        leave(tmp_path / str(value), config(**{"$\\bad{$": value, "objective": f"${value}\\bad{{$"}), metrics())
        leave(tmp_path / f"{value}0", config(**{"$\\bad{$": 10 * value, "objective": f"${value}\\bad{{$"}), metrics())
    assert main([str(tmp_path)]) == 0


# Trade-offs


def labels(figure: Figure) -> list[tuple[str, str]]:
    return [(axes.get_xlabel().partition(" (")[0], axes.get_ylabel().partition(" (")[0]) for axes in figure.axes]


def test_the_trade_off_is_with_the_first_mig_that_was_measured_else_total_correlation(tmp_path: Path) -> None:
    for beta, mig in ((1, 0.1), (4, 0.3), (8, None)):
        found = metrics(elbo=-100.0 - beta, reconstruction=-90.0 - beta, mig=mig, mig_binned=0.5)
        leave(tmp_path / str(beta), config(beta=beta), found)
    plots = drawn(tmp_path)
    assert labels(plots["pareto"].figure) == [("reconstruction / nats", "MIG"), ("ELBO / nats", "MIG")]
    assert labels(plots["correlation_and_mig"].figure) == [("total correlation / nats", "MIG")]
    assert plots["pareto"].caption.count("1 beta=4; 2 beta=1.") == 2
    for run in tmp_path.iterdir():
        (run / "metrics.json").write_text((run / "metrics.json").read_text().replace("mig", "other"))
    plots = drawn(tmp_path)
    assert "correlation_and_mig" not in plots
    assert {y for _, y in labels(plots["pareto"].figure)} == {"total correlation / nats"}
    # One run with a MIG has nothing to be compared with.
    leave(tmp_path / "own", config(beta=9), metrics(mig=0.1))
    plots = drawn(tmp_path)
    assert "correlation_and_mig" not in plots
    assert {y for _, y in labels(plots["pareto"].figure)} == {"total correlation / nats"}


def test_of_one_setting_there_is_no_front(tmp_path: Path) -> None:
    for seed in (0, 1):
        leave(tmp_path / str(seed), config(seed=seed), metrics())
    found = drawn(tmp_path)
    assert found.keys() == ALWAYS
    assert "front" not in found["pareto"].caption
    assert not found["pareto"].figure.axes[0].texts


# Box plots


def test_boxes_are_of_objectives_with_three_runs(tmp_path: Path) -> None:
    for objective, seeds in (("a", 3), ("b", 4), ("c", 2)):
        for seed in range(seeds):
            leave(tmp_path / f"{objective}{seed}", config(objective=objective, seed=seed), metrics(elbo=-1.0 * seed))
    leave(tmp_path / "failed", config(objective="c", seed=9), status=FAILED)
    axes = drawn(tmp_path)["boxes_by_objective"].figure.axes[-1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert [len(line.get_ydata()) for line in axes.lines] == [3, 4]
    for seed in (0, 1):
        (tmp_path / f"b{seed}" / "metrics.json").unlink()
    assert "boxes_by_objective" not in drawn(tmp_path)


# Heat maps


def values(figure: Figure, panel: str) -> list[list[float | None]]:
    """The numbers of a panel by row from the bottom; None where there is none."""
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == panel)
    return np.ma.masked_invalid(axes.images[0].get_array()).tolist()


def test_two_numbers_that_make_a_grid_are_a_heat_map_of_means(tmp_path: Path) -> None:
    for beta in (1, 2, 12):
        for gamma in (1, 4):
            for seed in (0, 2):
                folder = tmp_path / f"{beta},{gamma},{seed}"
                changes = config(beta=beta, gamma=gamma, seed=seed)
                if (beta, gamma) == (12, 4):
                    leave(folder, changes, status=FAILED)
                elif (beta, gamma, seed) == (2, 1, 2):
                    leave(folder, changes)
                else:
                    leave(
                        folder, changes, metrics(elbo=-1.0 * beta - 100 * gamma - seed, kl=None if beta == 2 else 1.0)
                    )
    plot = drawn(tmp_path)["heat_beta_gamma"]
    assert values(plot.figure, "ELBO / nats") == [[-102, -102, -113], [-402, -403, None]]
    assert values(plot.figure, "KL / nats") == [[1, None, 1], [1, None, None]]
    kl = next(axes for axes in plot.figure.axes if axes.get_title(loc="left") == "KL / nats")
    # Of the seeds at β=2 one completed, without a KL: that is not the same as none.
    assert {(patch.get_x() + 0.5, patch.get_hatch()) for patch in kl.patches} == {(1, "..."), (2, "xxx")}
    assert [text.get_text() for text in plot.figure.legends[0].get_texts()] == ["not completed", "no value"]


def test_each_combination_of_the_others_has_a_map_and_many_are_cut(tmp_path: Path) -> None:
    grid(tmp_path, beta=[1, 4], gamma=[1, 4], objective=["hfvae", "vae"])
    leave(tmp_path / "other", config(beta=1, gamma=1, objective="info_vae"), metrics())
    found = {name: plot for name, plot in drawn(tmp_path).items() if name.startswith("heat")}
    assert found.keys() == {"heat_beta_gamma_1", "heat_beta_gamma_2"}
    assert found["heat_beta_gamma_2"].caption.startswith("By beta and gamma, objective=vae: metrics")
    grid(tmp_path, beta=[1, 4], gamma=[1, 4], lr=[0.1, 0.2], objective=["a", "b"])
    found = {name: plot for name, plot in drawn(tmp_path).items() if name.startswith("heat")}
    assert len(found) == 8
    assert "more such grids are not drawn" in list(found.values())[-1].caption


@pytest.mark.parametrize("places", [[(1, 1), (2, 2)], [(1, 1), (2, 1), (4, 1)], [(1, 1), (2, 1), (4, 2), (8, 2)]])
def test_what_makes_no_grid_has_no_heat_map(tmp_path: Path, places: list[tuple[int, int]]) -> None:
    for beta, gamma in places:
        leave(tmp_path / f"{beta},{gamma}", config(beta=beta, gamma=gamma), metrics())
    assert not [name for name in drawn(tmp_path) if name.startswith("heat")]
