"""Where nothing more can be written, a run ends with one line, and what it had written is whole.

The operating system itself fails the writes: no file may grow past a limit, as with a quota.
"""

import resource
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from comparing import last, same_to_the_bit
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import StorageError
from hfvae_runner.launch import main
from hfvae_runner.runs import single
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.history import History
from hfvae_runner.training.batches import Batch, Batches

SMALL = (
    *("device=cpu", "threads=1", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false"),
    *("metrics=[active_units]", "metrics.exact_limit=1e6", "train.log_every=1", "checkpoints.every=3", "steps=7"),
)
Usage = namedtuple("Usage", "total used free")

pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


def limit(size: int) -> None:
    """From now on no file of this process may grow past so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.fixture(autouse=True)
def without_a_limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def full_from(step: int, file: Path, spare: int) -> Iterator[None]:
    """From this step on no file may grow to more than that one's size and a few bytes."""
    original = Batches.at

    def at(batches: Batches, number: int) -> Batch:
        if number == step - 1:
            limit(file.stat().st_size + spare)
        return original(batches, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "at", at)
        yield
        limit(resource.RLIM_INFINITY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    single.run(config(), folder)
    return folder


def test_a_row_that_cannot_be_written(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    with full_from(5, folder / "history.csv", spare=100):
        assert main([*SMALL, f"hydra.run.dir={folder}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        f"error: {folder / 'history.csv'} cannot be written: File too large; the last good checkpoint is "
    )
    assert line.endswith("checkpoints/last.pt")
    assert "Traceback" not in (folder / "run.log").read_text()
    rows = (folder / "history.csv").read_text()
    assert not rows.endswith("\n"), "cut within the row"
    single.run(config("resume=auto"), folder)
    same_to_the_bit(folder, whole)


def test_a_checkpoint_that_cannot_be_written(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with full_from(4, whole / "history.csv", spare=100_000), pytest.raises(StorageError) as end:
        single.run(config(), folder)
    assert end.value.exit_code == 2
    assert "step_00000006.pt cannot be written: File too large; the last good checkpoint is" in str(end.value)
    assert last(folder)["step"] == 3
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["last.pt", "step_00000003.pt"]
    assert str(end.value) in (folder / "run.log").read_text()
    single.run(config("resume=auto"), folder)
    same_to_the_bit(folder, whole)


def test_results_that_cannot_be_written(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    write = run_folder.write_metrics

    def full(path: Path, metrics: dict[str, object]) -> None:
        limit(1000)
        write(path, metrics)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match=r"metrics\.json cannot be written"):
        patch.setattr(run_folder, "write_metrics", full)
        single.run(config(), folder)
    limit(resource.RLIM_INFINITY)
    assert run_folder.inspect(folder) == "resumable"
    single.run(config("resume=auto"), folder)
    same_to_the_bit(folder, whole)


def test_a_large_write_is_not_begun_without_room(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, size = tmp_path / "run", (whole / "checkpoints" / "last.pt").stat().st_size
    asked: list[Path] = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(10**9, 10**9, size // 2 if len(asked) > 1 else 10**9)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match=r"step_00000006\.pt .* it needs \d+\.\d MB"):
        patch.setattr("shutil.disk_usage", usage)
        single.run(config(), folder)
    assert asked == [folder / "checkpoints"] * 2
    assert last(folder)["step"] == 3
    single.run(config("resume=auto"), folder)
    same_to_the_bit(folder, whole)


def test_a_history_that_failed_can_be_closed(tmp_path: Path) -> None:
    """What it could not write is not tried again."""
    history = History(tmp_path / "history.csv")
    history.append({"step": 1, "loss": 0.5})
    limit(20)
    with pytest.raises(StorageError, match=r"history\.csv cannot be written: File too large"):
        history.append({"step": 2, "loss": 1 / 3})
    history.close()
    limit(resource.RLIM_INFINITY)
    history.truncate(1)
    assert (tmp_path / "history.csv").read_text() == "step,loss\n1,0.5\n"
