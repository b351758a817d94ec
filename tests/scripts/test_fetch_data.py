"""scripts/fetch_data.py, as a person calls it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from publisher import publishing
from scripting import loaded

import hfvae_runner.data.mnist
import hfvae_runner.data.mpi3d
from hfvae_runner.data._fetch import RemoteFile

Main = Callable[[Sequence[str]], int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    return loaded("fetch_data", monkeypatch).main  # type: ignore[no-any-return]


def test_the_files_are_fetched_and_named(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with publishing() as publisher:
        publisher.files = {"a": b"first", "b": b"second"}
        files = tuple(RemoteFile(f"MNIST/{name}", (publisher.url(name),)) for name in "ab")
        monkeypatch.setattr(hfvae_runner.data.mnist, "FILES", files)
        assert main(["mnist", "--data-root", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path}/MNIST/a\n{tmp_path}/MNIST/b\n"
    assert captured.err == ""
    assert (tmp_path / "MNIST" / "b").read_bytes() == b"second"


def test_one_version_is_fetched_alone(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with publishing() as publisher:
        publisher.files = {"toy": b"first", "real": b"second"}
        files = {name: RemoteFile(f"mpi3d_{name}.npz", (publisher.url(name),)) for name in publisher.files}
        monkeypatch.setattr(hfvae_runner.data.mpi3d, "VERSIONS", files)
        assert main(["mpi3d=real", "mpi3d=reel", "mnist=real", "--data-root", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path}/mpi3d_real.npz\n"
    assert not (tmp_path / "mpi3d_toy.npz").exists()
    assert captured.err.splitlines() == [
        "error: there is no version 'reel' of mpi3d; expected one of toy, real; did you mean 'real'?",
        "error: there is no version 'real' of mnist; expected mnist alone",
    ]


def test_what_cannot_be_had_is_a_line_and_does_not_keep_the_rest(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hfvae_runner.data.mnist, "FILES", (RemoteFile("a", ask="ask at example.org"),))
    assert main(["mnist", "mnst", "digits", "--data-root", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert first == f"error: {tmp_path}/a is missing and has no public download: ask at example.org, and put it there"
    assert second.startswith("error: there is no data set 'mnst'; expected ")
    assert second.endswith("; did you mean 'mnist'?")
    assert captured.out == "digits needs no files\n"


def test_the_folder_follows_the_environment(main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    monkeypatch.setattr(hfvae_runner.data.mnist, "FILES", (RemoteFile("a"),))
    monkeypatch.setenv("HFVAE_DATA", str(tmp_path))
    assert main(["mnist"]) == 0
    monkeypatch.delenv("HFVAE_DATA")
    monkeypatch.chdir(tmp_path)
    assert main(["mnist"]) == 2
    (tmp_path / "data").mkdir()
    (tmp_path / "a").rename(tmp_path / "data" / "a")
    assert main(["mnist"]) == 0
