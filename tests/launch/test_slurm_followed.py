"""How a sweep learns what its jobs on a Slurm do, with made-up commands in place of Slurm's; see also test_slurm.py."""

from pathlib import Path

import pytest
from submitit import SlurmJob
from submitit.slurm.slurm import SlurmInfoWatcher

from hfvae_runner.launch.slurm import QueueWatcher, follow_without_accounting


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which commands are found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def made_up(folder: Path, name: str, *, answer: str = "", error: str = "", code: int = 0) -> None:
    path = folder / name
    path.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{folder}/{name}.asked'\n"
        f"printf '%b' '{answer}'\nprintf '%b' '{error}' >&2\nexit {code}\n"
    )
    path.chmod(0o755)


def watcher(*jobs: str) -> QueueWatcher:
    watched = QueueWatcher(delay_s=60)
    for job in jobs:
        watched.register_job(job)
    return watched


def test_states_are_those_of_the_queue(commands: Path) -> None:
    made_up(commands, "squeue", answer="7_0|RUNNING|one\\n7_1|FAILED|two\\n9|CANCELLED|\\n")
    watched = watcher("7_0", "7_1", "9")
    watched.update()
    assert [watched.get_state(job, mode="cache") for job in ("7_0", "7_1", "9")] == ["RUNNING", "FAILED", "CANCELLED"]
    assert [watched.is_done(job, mode="cache") for job in ("7_0", "7_1", "9")] == [False, True, True]
    made_up(commands, "squeue", answer="7_0|TIMEOUT|one\\n")
    watched.update()
    assert watched.get_state("7_0", mode="cache") == "TIMEOUT"
    asked = (commands / "squeue.asked").read_text().splitlines()
    assert [line.split("--jobs=")[1] for line in asked] == ["7,9", "7"], "an ended job is not asked for again"
    watched.update()
    assert len((commands / "squeue.asked").read_text().splitlines()) == 2, "nor is anything once all have ended"


def test_a_controller_that_does_not_answer_is_asked_again(commands: Path) -> None:
    watched = watcher("7_0")
    watched.update()  # there is no squeue at all
    made_up(commands, "squeue", error="Unable to contact slurm controller\\n", code=1)
    watched.update()
    assert watched.get_state("7_0", mode="cache") == "UNKNOWN" and not watched.is_done("7_0", mode="cache")
    made_up(commands, "squeue", answer="7_0|COMPLETED|one\\n")
    watched.update()
    assert watched.is_done("7_0", mode="cache")


def test_jobs_that_slurm_has_forgotten_have_ended(commands: Path) -> None:
    made_up(commands, "squeue", error="slurm_load_jobs error: Invalid job id specified\\n", code=1)
    watched = watcher("7_0", "7_1")
    watched.update()
    assert watched.is_done("7_0", mode="cache") and watched.is_done("7_1", mode="cache")


@pytest.mark.parametrize(
    ("accounting", "followed"),
    [("accounting_storage/none", True), ("(null)", True), ("accounting_storage/slurmdbd", False), (None, False)],
)
def test_only_without_accounting(
    accounting: str | None, followed: bool, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlurmJob, "watcher", SlurmInfoWatcher())
    if accounting is not None:
        made_up(commands, "scontrol", answer=f"Configuration\\nAccountingStorageType   = {accounting}\\nX = 1\\n")
    follow_without_accounting()
    assert isinstance(SlurmJob.watcher, QueueWatcher) == followed


def test_a_controller_that_is_not_there_is_left_to_sbatch(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlurmJob, "watcher", SlurmInfoWatcher())
    made_up(commands, "scontrol", error="no controller\\n", code=1)
    follow_without_accounting()
    assert not isinstance(SlurmJob.watcher, QueueWatcher)
