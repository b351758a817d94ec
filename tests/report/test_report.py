"""The report's command: what it finds, writes and refuses. Nothing trains here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from reporting import THIRD, config, grid, leave, metrics, refused, rows

from hfvae_runner.report import main, plots


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


# What counts as a run


def test_runs_are_found_at_any_depth_once_and_nothing_inside_them(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    leave(home / "a" / "b", config())
    leave(home / "a" / "b" / "figures" / "not_a_run", config())
    run = leave(elsewhere / "c", config())
    (home / "link").symlink_to(elsewhere)
    (home / "round").symlink_to(home)
    assert main([str(home), str(run), str(elsewhere), str(home / "a")]) == 0
    assert [row["folder"] for row in rows(home)] == ["../elsewhere/c", "a/b"]


def test_folders_stand_in_natural_order(tmp_path: Path) -> None:
    for seed in (10, 9):
        leave(tmp_path / f"seed={seed}", config(seed=seed))
    main([str(tmp_path)])
    assert [row["seed"] for row in rows(tmp_path)] == ["9", "10"]


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        ({}, "unfinished", ""),
        ({"metrics": metrics()}, "completed", ""),
        ({"status": {"status": "diverged", "reason": "kl not\nfinite"}}, "diverged", "kl not finite"),
        ({"status": {"status": "failed"}}, "unreadable", "status.json does not say status and reason"),
        ({"metrics": '{"schema": 1,'}, "unreadable", "metrics.json is not JSON"),
        ({"metrics": metrics(elbo=float("nan"))}, "unreadable", "NaN"),
        ({"metrics": [1]}, "unreadable", "metrics.json holds list"),
        ({"metrics": metrics() | {"schema": 2}}, "unreadable", "schema 2; expected 1"),
        ({"metrics": {"schema": 1, "run": {}, "train": {}}}, "unreadable", "no section 'test'"),
    ],
)
def test_a_run_stands_as_its_files_say(tmp_path: Path, content: dict[str, object], status: str, reason: str) -> None:
    leave(tmp_path / "run", config(), **content)  # type: ignore[arg-type]
    assert main([str(tmp_path)]) == 0
    (row,) = rows(tmp_path)
    assert row["status"] == status
    assert reason in row["reason"]
    assert (row["dataset"], row["beta"]) == ("digits", "12")


@pytest.mark.parametrize("text", ["[", "3", "{}", "choices: {dataset: digits}", "{choices: {}, 1: 2}", "\x00"])
@pytest.mark.usefixtures("no_figures")
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (leave(tmp_path / "run", {}, metrics()) / "config.yaml").write_text(text)
    leave(tmp_path / "other", config(), metrics())
    assert main([str(tmp_path)]) == 0
    row = rows(tmp_path)[1]
    assert (row["folder"], row["status"], row["dataset"]) == ("run", "unreadable", "")
    assert "config.yaml" in row["reason"]
    assert f"run: unreadable: {row['reason']}" in capsys.readouterr().out


def test_a_job_that_failed_before_its_config_was_written_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "status.json").write_text('{"status": "failed", "reason": "no data", "exit_code": 2}')
    assert main([str(tmp_path)]) == 0
    assert [(row["folder"], row["status"], row["reason"]) for row in rows(tmp_path)] == [("job", "failed", "no data")]


# results.csv


def test_numbers_read_back_to_the_bit(tmp_path: Path) -> None:
    leave(tmp_path / "run", config(seed=2**63 - 1), metrics(elbo=-0.1 - 0.2))
    main([str(tmp_path)])
    (row,) = rows(tmp_path)
    assert row["seed"] == str(2**63 - 1)
    assert float(row["test/elbo"]) == -0.1 - 0.2
    assert float(row["train/total_correlation"]) == THIRD
    assert float(row["examples_per_second"]) == 0.1 + 0.2
    assert row["test/kl_per_factor/style[10]"] == "0.25"
    assert row["test/discrete_accuracy_majority"] == ""
    assert (row["device"], row["parameters"], row["epochs"], row["gamma"]) == ("cuda:0", "77", "3.0", "4.0")


@pytest.mark.usefixtures("no_figures")
def test_what_is_nested_twice_stays_in_the_runs(tmp_path: Path) -> None:
    """Or a data set of forty attributes would have a thousand columns of them."""
    found = metrics(mig_exact_per_factor={"scale": 0.5}, mig_exact_information={"scale": {"z[0]": 0.25}})
    leave(tmp_path / "run", config(), found)
    main([str(tmp_path)])
    (row,) = rows(tmp_path)
    assert row["test/mig_exact_per_factor/scale"] == "0.5"
    assert not [column for column in row if column.startswith("test/mig_exact_information")]


@pytest.mark.usefixtures("no_figures")
def test_the_columns_have_a_fixed_order(tmp_path: Path) -> None:
    schedule = {"linear": [0, 4, 1000]}
    leave(tmp_path / "1", config(objective="vae"), status={"status": "failed", "reason": "x"})
    leave(tmp_path / "2", config(alpha=schedule), metrics())
    leave(tmp_path / "3", config(alpha=1, status=5), metrics())
    leave(tmp_path / "4", config(alpha=1, status=5, prior__temperature=0.5), {})
    main([str(tmp_path)])
    columns = list(rows(tmp_path)[0])
    assert columns[:20] == [
        "folder", "status", "reason", "dataset", "model", "likelihood", "prior", "objective", "seed",
        "alpha", "beta", "gamma", "knob/status", "steps", "epochs", "batch_size", "lr", "prior.temperature",
        "parameters", "wall_seconds",
    ]  # fmt: skip
    assert columns[22:25] == ["test/examples", "test/elbo", "test/reconstruction"]
    assert [name for name in columns if name.startswith("test/kl_per")] == [
        f"test/kl_per_factor/{name}" for name in ("class", "style[0]", "style[2]", "style[10]")
    ]
    assert columns.index("train/examples") > columns.index("test/discrete_accuracy_majority")
    failed, done, third, _ = rows(tmp_path)
    assert done["alpha"] == "{linear: [0, 4, 1000]}"
    assert (third["status"], third["knob/status"]) == ("completed", "5")
    assert (failed["steps"], failed["epochs"], failed["wall_seconds"]) == ("", "3", "")
    assert (done["steps"], done["epochs"]) == ("30", "3.0")


# Refusals


def test_a_run_folder_is_no_place_for_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = leave(tmp_path / "run", config(), metrics())
    before = sorted(run.rglob("*"))
    assert "run's own folder" in refused(capsys, run)
    assert sorted(run.rglob("*")) == before
    assert main([str(tmp_path), str(run)]) == 0


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(tmp_path / "home" / "run", config())
    assert "no run at or below" in refused(capsys, tmp_path / "home" / "run" / "figures")
    assert "is missing" in refused(capsys, tmp_path / "home", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    assert "is a file" in refused(capsys, tmp_path / "file")
    assert "required: FOLDER" in refused(capsys)
    assert not (tmp_path / "home" / "results.csv").exists()


@pytest.mark.parametrize("name", ["results.csv", "report.html", "figures"])
def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    grid(tmp_path, beta=[1, 4] if name == "figures" else [1])
    if name == "figures":
        (tmp_path / name).touch()
    else:
        (tmp_path / name).mkdir()
    assert f"{name} cannot be written" in refused(capsys, tmp_path)


# The process


def test_help_survives_a_reader_that_leaves() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hfvae_runner.report", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_neither_torch_nor_hydra_is_imported(tmp_path: Path) -> None:
    """Nor pyplot, which would look for a display."""
    grid(tmp_path, beta=[1, 4], gamma=[1, 4], objective=["hfvae", "vae"])
    script = (
        "import sys; from hfvae_runner.report import main; assert main(sys.argv[1:]) == 0; "
        "assert not {'torch', 'hydra', 'omegaconf', 'matplotlib.pyplot'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)


def test_a_report_is_the_same_when_made_again(tmp_path: Path) -> None:
    grid(tmp_path, beta=[1, 4])
    leave(tmp_path / "bad", config(), "{")
    main([str(tmp_path)])
    before = {name: (tmp_path / name).read_bytes() for name in ("results.csv", "report.html")}
    assert b"data:image/png" in before["report.html"]
    (tmp_path / ".report.jsonl.gz").unlink()
    main([str(tmp_path)])
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_a_folder_of_configs_is_no_run(tmp_path: Path) -> None:
    leave(tmp_path / "run", config(), metrics())
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("seed: 0")
    assert main([str(tmp_path)]) == 0
    assert [row["folder"] for row in rows(tmp_path)] == ["run"]
