"""A run where a shell, a disk or a user's account is not as one is used to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from launching import FakeBuild, refused

import hfvae_runner
from hfvae_runner.launch import main

SMALL = ("steps=2", "image_size=8", "metrics.figures=false", "metrics=[active_units]", "device=cpu", "threads=1")


def shell(line: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a line of sh, in which ``$run`` is the command; without HOME."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME", "HFVAE_DATA")
    }
    environment |= {"PYTHONPATH": str(Path(hfvae_runner.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    environment |= {"run": f"{sys.executable} -m hfvae_runner {' '.join(SMALL)}"}
    return subprocess.run(["sh", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_without_a_home_or_streams_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    place = tmp_path / "my runs é"
    place.mkdir()
    process = shell("exec $run <&- >&- 2>&-", place)
    assert process.returncode == 0
    (folder,) = (place / "outputs").iterdir()
    assert "run folder:" in (folder / "run.log").read_text()
    assert (folder / "history.csv").read_text().startswith("step,"), "no stream's number went to a file"
    assert (folder / "metrics.json").exists()


@pytest.mark.slow
def test_whoever_reads_may_leave(tmp_path: Path) -> None:
    process = shell("$run hydra.run.dir=run 2>&1 | head -n 1", tmp_path)
    assert len(process.stdout.splitlines()) == 1
    assert process.stderr == ""
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize("place", ["/proc/run", "file/run"])
def test_where_nothing_can_be_written(
    place: str, build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "file").touch()
    line = refused(capsys, f"hydra.run.dir={place}")
    assert f"{place} cannot be written: " in line
    assert "-m" not in line
    assert f"{place.split('/')[1]}" in refused(capsys, "-m", f"hydra.sweep.dir={place}", "seed=0,1")
    assert not build.ran


def test_data_that_are_nowhere(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HFVAE_DATA", str(workplace / "no such é"))
    line = refused(capsys, "dataset=mnist", "dataset.download=false")
    assert "no such é" in line
    assert not list(workplace.iterdir())


def test_an_outputs_folder_that_is_a_file(
    workplace: Path, build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "outputs").touch()
    assert "cannot be written: Not a directory" in refused(capsys)
    assert main(["hydra.run.dir=elsewhere"]) == 0
