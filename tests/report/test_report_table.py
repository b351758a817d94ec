"""What tells settings apart, and the table of settings."""

import re
from pathlib import Path

import pytest
from reporting import config, figure_names, leave, metrics

from hfvae_runner.report import main, plots
from hfvae_runner.report.settings import as_text, compare, natural, settings_of


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


# What tells settings apart


def test_only_what_varies_tells_settings_apart() -> None:
    runs = [
        config(seed=seed, beta=beta, device=device)
        for seed, beta, device in [(0, 1, "cpu"), (1, 1.0, "auto"), (0, 4, "cpu")]
    ]
    comparison = compare([settings_of(run) for run in runs])
    assert comparison.varying == ("beta",)
    assert comparison.shared["objective"] == "hfvae"
    assert comparison.shared["gamma"] == "4"
    assert not comparison.where_defined


def test_a_knob_that_some_objectives_lack_varies_only_where_its_values_do() -> None:
    vae = config(objective="vae")
    del vae["beta"], vae["gamma"]
    comparison = compare([settings_of(each) for each in (vae, config(), config(beta=1))])
    assert comparison.varying == ("objective", "beta")
    assert comparison.where_defined == {"gamma": "4"}


def test_steps_and_epochs_tell_apart_runs_of_one_choice() -> None:
    comparison = compare([settings_of(each) for each in (config(steps=10), config(steps=10, epochs=9), config())])
    assert comparison.varying == ("epochs", "steps")


def test_a_nested_value_counts_where_nothing_else_explains_it() -> None:
    followed = [config(beta=b, objective__terms={"group_tc": b}, dataset__root=str(b)) for b in (1, 4)]
    assert compare([settings_of(each) for each in followed]).varying == ("beta",)
    own = [*followed, config(beta=4, objective__terms={"group_tc": 5})]
    assert compare([settings_of(each) for each in own]).varying == ("beta", "objective.terms.group_tc")


def test_values_are_spelt_as_on_the_command_line() -> None:
    values = [12.0, 0.001, True, None, "argmax", {"cosine": [0, 4.5, 10]}, 1e20]
    assert [as_text(value) for value in values] == [
        "12", "0.001", "true", "null", "argmax", "{cosine: [0, 4.5, 10]}", "1e+20",
    ]  # fmt: skip


def test_numbers_stand_before_words_and_by_value() -> None:
    assert sorted(["z[10]", "12", "-", "z[2]", "4", "-3"], key=natural) == ["-3", "4", "12", "-", "z[2]", "z[10]"]


# The table


def table_of(home: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main([str(home)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("no_figures")
def test_a_setting_is_a_line_of_means_and_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, elbo, correlation in [(0, -99.0, 1.0), (1, -102.0, 2.0), (2, -100.5, 6.0)]:
        leave(tmp_path / str(seed), config(seed=seed), metrics(elbo=elbo, total_correlation=correlation))
    leave(tmp_path / "beta1", config(beta=1), metrics(elbo=-99.9996))
    leave(tmp_path / "lost", config(seed=3))
    lines = table_of(tmp_path, capsys)
    assert lines[0].startswith("the same for all: dataset=digits model=mlp_mnist")
    assert "gamma=4" in lines[0]
    assert "beta" not in lines[0]
    packed = [re.sub(r" +\[ *", " [", re.sub(r", +", ", ", line.strip())) for line in lines[3:7]]
    titles, _, first, second = (re.split(r"  +", line) for line in packed)
    assert titles == [
        "beta", "seeds", "ELBO", "reconstruction", "KL", "mutual information", "total correlation", "I(y; c)",
        "discrete accuracy", "wall time / s",
    ]  # fmt: skip
    assert first[:3] == ["1", "1", "-100.000"]
    assert second == [
        "12", "3 of 4", "-100.5 [-102.0, -99.0]", "-99.500 [-99.500, -99.500]", "1.750 [1.750, 1.750]",
        "1.000 [1.000, 1.000]", "3.000 [1.000, 6.000]", "0.625 [0.625, 0.625]", "0.500 [0.500, 0.500]", "7.2",
    ]  # fmt: skip
    assert lines[-2:] == ["not completed:", "  lost: unfinished"]


@pytest.mark.usefixtures("no_figures")
def test_a_narrow_terminal_gets_numbered_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path / "a", config(beta=1), metrics())
    leave(tmp_path / "b", config(beta=2), metrics())
    monkeypatch.setenv("COLUMNS", "60")
    lines = table_of(tmp_path, capsys)[3:]
    assert max(map(len, lines)) <= 60
    heads = [re.split(r"  +", line) for line in lines if line.startswith("#")]
    assert len(heads) > 1
    assert heads[0][:4] == ["#", "beta", "seeds", "ELBO"]
    assert heads[-1][-1] == "wall time / s"


@pytest.mark.usefixtures("no_figures")
def test_a_seed_run_twice_is_counted_as_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(tmp_path / "a", config(), metrics())
    leave(tmp_path / "b", config(device="cpu"), metrics())
    assert table_of(tmp_path, capsys)[3].split()[0] == "runs"


def test_runs_without_a_single_result_have_a_table_without_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(tmp_path / "a", config(), status={"status": "failed", "reason": "no space"})
    lines = table_of(tmp_path, capsys)
    assert [line.strip() for line in lines[3:6]] == ["seeds", "------", "0 of 1"]
    assert lines[-1] == "  a: failed: no space"
    assert figure_names(tmp_path) == set()
