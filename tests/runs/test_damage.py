"""A damaged checkpoint is refused, the newest whole one named, and the run resumes from that one."""

import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from comparing import contents, last, same_to_the_bit
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import CheckpointError
from hfvae_runner.launch import main
from hfvae_runner.runs import single
from hfvae_runner.storage import run_folder

SMALL = (
    *("device=cpu", "threads=1", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false"),
    *("metrics=[active_units]", "metrics.exact_limit=1e6", "train.log_every=1", "checkpoints.every=3", "steps=10"),
    "checkpoints.keep=4",
)

pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    single.run(config(), folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A run that was killed after its last checkpoint, in a path that wants quotes."""
    copy = tmp_path / "a run"
    shutil.copytree(whole, copy)
    (copy / "metrics.json").unlink()
    return copy


def damage(*paths: Path) -> None:
    for path in paths:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def error(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    return line


def test_the_newest_whole_one_is_offered_and_taken(
    folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = folder / "checkpoints"
    damage(checkpoints / "last.pt", checkpoints / "step_00000010.pt", checkpoints / "step_00000009.pt")
    before = contents(folder)
    good = checkpoints / "step_00000006.pt"
    line = error(capsys, f'resume="{folder}"')
    assert "last.pt is damaged: record" in line
    assert line.endswith(f"resume={good} resumes from that one")
    assert contents(folder) == before
    assert main([f'resume="{good}"']) == 0
    same_to_the_bit(folder, whole)
    assert last(folder)["step"] == 10


def test_nothing_is_offered_where_nothing_is_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(*(folder / "checkpoints").iterdir())
    assert error(capsys, f'resume="{folder}"').endswith("; no numbered one beside it is whole either")


def test_a_finished_run_is_taken_back_and_extended(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    assert main([f"resume={folder}/checkpoints/step_00000003.pt", "steps=11"]) == 0
    assert last(folder)["step"] == 11
    single.run(config("steps=11"), tmp_path / "longer")
    same_to_the_bit(folder, tmp_path / "longer")


def test_taken_back_it_stays_so_when_killed_at_once(whole: Path, tmp_path: Path) -> None:
    """Before its next checkpoint, ``resume=FOLDER`` goes on from the one that was chosen."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    chosen = folder / "checkpoints" / "step_00000003.pt"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(single, "train_with_restarts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        single.run(config(f"resume={chosen}"), folder)
    assert last(folder)["step"] == 3
    assert run_folder.inspect(folder) == "resumable"


def test_without_last_the_newest_numbered_one_counts(folder: Path, whole: Path) -> None:
    (folder / "checkpoints" / "last.pt").unlink()
    assert run_folder.inspect(folder) == "resumable"
    single.run(config("resume=auto"), folder)
    same_to_the_bit(folder, whole)


def test_a_checkpoint_past_the_end(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"step_00000006\.pt is at step 6; expected steps or epochs of at least"):
        single.run(config("steps=4", f'resume="{folder}/checkpoints/step_00000006.pt"'), folder)


def test_of_another_model(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    single.run(config("latents=3"), other)
    for path in (other / "checkpoints").iterdir():
        shutil.copy(path, folder / "checkpoints")
    with pytest.raises(CheckpointError, match=r"last\.pt is of another model: .*; no numbered one .* is whole either"):
        single.run(config("resume=auto"), folder)


def test_no_such_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error(capsys, f'resume="{folder}/checkpoints/step_00000007.pt"')
    assert line.endswith("step_00000007.pt: no such checkpoint; expected a file, or the folder of an earlier run")
    torch.save({}, folder.parent / "model.pt")
    assert "config.yaml is missing" in error(capsys, f'resume="{folder.parent}/model.pt"')
