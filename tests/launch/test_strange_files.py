"""Files in a run folder that are not a run's own: links, pipes, temporary files."""

import os
import shutil
from pathlib import Path

import pytest
from strangers import error_lines

from hfvae_runner.evaluate import main as evaluate
from hfvae_runner.launch import main as train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    "name", ["run.log", "history.csv", "evaluations.jsonl", ".lock", "checkpoints", "figures", "trackers", "trackers/x"]
)
@pytest.mark.parametrize("dangling", [False, True])
def test_nothing_is_written_through_a_link(
    name: str, dangling: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = folder.parent / "outside"
    path = folder / name
    if path.is_dir():
        shutil.copytree(path, outside)
        shutil.rmtree(path)
    elif not dangling:
        outside.write_text("# mine")
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    before = _content(outside)
    # Without its checkpoints no run is there to go on with: it is one to start anew.
    for command in (train([f"resume={folder}", "steps=8"]), evaluate([str(folder), "metrics=hoyer"])):
        assert command == 2
    first, second = error_lines(capsys)
    assert first == second == f"error: {path} is a link out of the run folder; expected files of its own"
    assert _content(outside) == before


def _content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    return {str(each): each.read_bytes() for each in files}


def test_a_link_within_the_folder_is_one_of_its_files(folder: Path) -> None:
    last = folder / "checkpoints" / "last.pt"
    last.unlink()
    last.symlink_to("step_00000002.pt")
    assert evaluate([str(folder), "metrics=hoyer"]) == 0
    (folder.parent / "named").symlink_to(folder)
    assert train(["resume=named", "steps=3"]) == 0


@pytest.mark.parametrize("name", [".metrics.json.tmp", ".config.yaml.tmp", "checkpoints/.step_00000003.pt.tmp"])
def test_a_temporary_file_is_the_program_s_own(name: str, folder: Path) -> None:
    inside = folder / "run.log"
    before = inside.read_text()
    (folder / name).symlink_to(inside)
    assert train([f"resume={folder}", "steps=3"]) == 0
    assert inside.read_text().startswith(before)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(inside)
    assert evaluate([str(folder), "metrics=hoyer"]) == 0
    assert inside.read_text().startswith(before)


def test_a_pipe_is_not_waited_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "history.csv").unlink()
    os.mkfifo(folder / "history.csv")
    assert train([f"resume={folder}", "steps=8"]) == 2
    assert error_lines(capsys) == [f"error: {folder}/history.csv is neither a file nor a folder; expected one of them"]
