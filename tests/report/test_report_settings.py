"""`settings.csv`: mean, standard deviation and count of every number of the test split, a row per setting."""

import math
from pathlib import Path

import pandas as pd
import pytest
from reporting import THIRD, config, leave, metrics

from hfvae_runner.report import main, plots


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


def frame(home: Path) -> pd.DataFrame:
    assert main([str(home)]) == 0
    return pd.read_csv(home / "settings.csv")


def test_the_spread_is_over_the_seeds_that_have_a_value(tmp_path: Path) -> None:
    for seed, elbo, mig in ((0, -1.0, 0.25), (1, -3.0, None), (2, -8.0, 0.75)):
        leave(tmp_path / str(seed), config(seed=seed), metrics(elbo=elbo, mig=mig))
    leave(tmp_path / "lost", config(seed=3))
    leave(tmp_path / "single", config(beta=1), metrics(elbo=THIRD))
    leave(tmp_path / "failed", config(beta=2), status={"status": "failed", "reason": "x"})
    table = frame(tmp_path).set_index("beta")
    assert table["runs"].to_dict() == {1: 1, 2: 1, 12: 4}
    assert table["completed"].to_dict() == {1: 1, 2: 0, 12: 3}
    assert table["test/elbo/mean"].to_dict() == pytest.approx({1: THIRD, 2: math.nan, 12: -4.0}, nan_ok=True)
    assert f",{THIRD!r}," in (tmp_path / "settings.csv").read_text()
    assert table["test/elbo/std"].to_dict() == pytest.approx({1: math.nan, 2: math.nan, 12: 13**0.5}, nan_ok=True)
    assert table["test/elbo/count"].to_dict() == {1: 1, 2: 0, 12: 3}
    assert table["test/mig/count"].to_dict() == {1: 0, 2: 0, 12: 2}
    assert table.loc[12, "test/mig/mean"] == 0.5
    assert table.loc[12, "test/mig/std"] == pytest.approx(0.125**0.5)
    assert pd.api.types.is_integer_dtype(table["test/mig/count"])
    assert (table["gamma"] == 4).all()
    assert (table["objective"] == "hfvae").all()


def test_every_number_is_there_but_what_is_of_a_numbered_latent_variable(tmp_path: Path) -> None:
    found = metrics(
        dci={"disentanglement": 0.5}, mig_per_factor={"scale": 0.25}, mig_why="text", new=3, odd=True, big=1e999,
        deep={"scale": {"z[0]": 1.0}},
    )  # fmt: skip
    run = leave(tmp_path / "a", config(), found)
    text = (run / "metrics.json").read_text().replace("Infinity", "1e999")
    (run / "metrics.json").write_text(text)
    columns = [column.removesuffix("/mean") for column in frame(tmp_path) if column.endswith("/mean")]
    assert columns == [
        "test/examples", "test/elbo", "test/reconstruction", "test/kl", "test/mutual_information",
        "test/total_correlation", "test/kl_per_factor/class", "test/label_information/class",
        "test/label_information/other", "test/discrete_accuracy", "test/dci/disentanglement",
        "test/mig_per_factor/scale", "test/new",
    ]  # fmt: skip


def test_a_knob_that_an_objective_lacks_is_empty(tmp_path: Path) -> None:
    lacking = config(objective="vae")
    del lacking["beta"]
    leave(tmp_path / "a", lacking, metrics())
    leave(tmp_path / "b", config(), metrics())
    leave(tmp_path / "c", config(alpha={"linear": [0, 4, 1000]}, runs=3), metrics())
    table = frame(tmp_path)
    assert table["beta"].isna().tolist() == [False, False, True]
    assert "{linear: [0, 4, 1000]}" in table["alpha"].tolist()
    assert sorted(table["knob/runs"].dropna()) == [3]


def test_without_any_result_the_settings_stand_alone(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(), status={"status": "failed", "reason": "x"})
    assert list(frame(tmp_path).columns)[-2:] == ["runs", "completed"]
    (tmp_path / "a" / "config.yaml").unlink()
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "settings.csv").read_text().startswith("dataset,model,likelihood,prior,objective,runs,completed")
