"""One process to a run folder; a dead one is none."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from comparing import contents
from launching import FakeBuild, leave_run, resolved

from hfvae_runner.config import schema
from hfvae_runner.errors import CheckpointError, FolderInUse
from hfvae_runner.launch import main
from hfvae_runner.runs import single
from hfvae_runner.storage import run_folder

HOLDER = """
import sys
from pathlib import Path
from hfvae_runner.storage.run_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
SMALL = ("device=cpu", "threads=1", "image_size=8", "steps=1", "train.progress=false", "metrics.figures=false")


def test_another_process_is_kept_out_until_it_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse, match="run is in use by another process") as refusal, run_folder.locked(folder):
            pass
        assert refusal.value.exit_code == 2
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with run_folder.locked(folder):
        pass


def test_the_lock_is_held_while_a_run_lasts_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    write, seen = run_folder.write_metrics, []

    def in_between(path: Path, metrics: dict[str, object]) -> None:
        before = contents(folder)
        with pytest.raises(FolderInUse):
            single.run(schema.parse(resolved(*SMALL, "resume=auto")), folder)
        assert contents(folder) == before
        seen.append(path)
        write(path, metrics)

    monkeypatch.setattr(run_folder, "write_metrics", in_between)
    single.run(schema.parse(resolved(*SMALL)), folder)
    assert seen == [folder]
    with run_folder.locked(folder):
        pass


def test_evaluate_is_kept_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hfvae_runner.evaluate import main as evaluate

    folder = tmp_path / "run"
    leave_run(folder, resolved(*SMALL), finished=True)
    with run_folder.locked(folder):
        assert evaluate([str(folder), "metrics=mmd"]) == 2
    assert "is in use by another process" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CheckpointError, match="file/run cannot be written: Not a directory"),
        run_folder.locked(tmp_path / "file" / "run"),
    ):
        pass


def test_a_lock_that_was_left_is_none_of_a_strangers_files(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "run").mkdir()
    (workplace / "run" / ".lock").touch()
    assert main(["hydra.run.dir=run"]) == 0, capsys.readouterr().err
    assert len(build.ran) == 1
