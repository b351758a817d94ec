"""What a sweep shows: a line for each job that ends, how far it is, the best so far, and a summary."""

from pathlib import Path

import pytest
from launching import resolved

from hfvae_runner.launch import main
from hfvae_runner.launch.sweep_lines import Tally, ended, shortened, summary
from hfvae_runner.storage import run_folder

SMALL = ("steps=2", "image_size=8", "metrics=[hoyer]", "metrics.figures=false", "threads=1", "train.progress=false")


def leave(folder: Path, **numbers: float) -> Path:
    """A finished run with these numbers of the test split; none for a run that failed."""
    folder.mkdir()
    if numbers:
        run_folder.write_config(folder, resolved())
        run_folder.write_metrics(folder, {"schema": 1, "status": "completed", "test": numbers})
    return folder


def test_lines_count_and_keep_the_best(tmp_path: Path) -> None:
    tally = Tally(3)
    first = ended(0, leave(tmp_path / "a", elbo=-20.0), tally)
    assert first.startswith("job 0, a: ELBO -20.00 (1 of 3; best so far -20.00; about ")
    assert ended(1, leave(tmp_path / "b"), tally).startswith("job 1, b: failed (2 of 3; best so far -20.00; about ")
    assert ended(2, leave(tmp_path / "c", elbo=-15.5), tally) == "job 2, c: ELBO -15.50 (3 of 3; best so far -15.50)"
    assert ended(7, leave(tmp_path / "d", reconstruction=-3.0), None) == "job 7, d: reconstruction -3.00"


def test_the_summary(tmp_path: Path) -> None:
    folders = [leave(tmp_path / "a", elbo=-20.0), leave(tmp_path / "b"), leave(tmp_path / "c", elbo=-15.5)]
    assert summary(folders, tmp_path) == [
        "2 of 3 jobs finished, 1 did not",
        "job 1, b: not started",
        f"best ELBO -15.50: {tmp_path / 'c'}",
        f"compare them: python -m hfvae_runner.report {tmp_path}",
    ]
    assert summary([folders[1]], tmp_path)[0] == "0 of 1 jobs finished, 1 did not"


def test_the_summary_says_why_jobs_have_not_finished(tmp_path: Path) -> None:
    names = ("failed", "stopped", "damaged", "absent", "wordy")
    failed, stopped, damaged, absent, wordy = folders = [tmp_path / name for name in names]
    run_folder.write_status(failed, "diverged", "the loss is not finite", 3)
    (stopped / "checkpoints").mkdir(parents=True)
    run_folder.write_config(stopped, resolved())
    leave(damaged)
    (damaged / "status.json").write_text('{"reason": [1]}')
    assert summary(folders, tmp_path)[:5] == [
        "0 of 5 jobs finished, 5 did not",
        "job 0, failed: the loss is not finite",
        "job 1, stopped: stopped, has a checkpoint",
        "job 2, damaged: status.json does not say status and reason",
        "and 2 more",
    ]
    assert summary([absent], tmp_path)[1] == "job 0, absent: not started"
    run_folder.write_status(wordy, "failed", "x" * 500, 1)
    assert summary([wordy], tmp_path)[1] == f"job 0, wordy: {'x' * 199}…"


@pytest.mark.usefixtures("one_thread")
def test_a_sweep_with_a_failed_job_has_its_summary_and_no_line_of_hydra_s(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", *SMALL, "steps=4", "lr=1e-3,1e30"]) == 3
    told = capsys.readouterr().err
    lines = told.splitlines()
    assert "Error executing job" not in told
    assert lines[-4] == "1 of 2 jobs finished, 1 did not"
    assert lines[-3].startswith("job 1, ") and "training diverged: " in lines[-3]
    assert lines[-2].startswith("best ELBO ") and lines[-1].startswith("compare them: ")


def test_a_long_name_keeps_its_hash() -> None:
    assert shortened("beta-1_seed-0") == "beta-1_seed-0"
    assert shortened("x" * 90 + "-0a1b2c3d") == "x" * 50 + "…-0a1b2c3d"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("launcher", ["basic", "stacked"])
def test_a_sweep_shows_a_line_per_job_and_no_tables(
    launcher: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", *SMALL, "seed=0,1", f"hydra/launcher={launcher}"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "as one program" not in line]
    assert [line.partition(",")[0] for line in lines[:2]] == ["job 0", "job 1"]
    assert "(1 of 2; best so far" in lines[0] and "(2 of 2; best so far" in lines[1]
    assert lines[2] == "2 of 2 jobs finished" and lines[4].startswith("compare them: ")
    assert len(lines) == 5
    logs = sorted(workplace.glob("outputs/sweeps/*/run.log"))
    assert len(logs) == 2 and all("nats per example" in log.read_text() for log in logs)
