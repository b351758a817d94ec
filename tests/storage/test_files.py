import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hfvae_runner.errors import StorageError
from hfvae_runner.storage.files import write_atomic


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


class TestAtomic:
    @pytest.mark.parametrize("function", ["replace", "fsync"])
    def test_a_failing_write_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
    ) -> None:
        path = tmp_path / "metrics.json"
        write_atomic(path, "old")
        monkeypatch.setattr(os, function, no_space)
        with pytest.raises(StorageError, match="No space left"):
            write_atomic(path, "new")
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["metrics.json"]

    def test_data_reach_the_disk_before_the_name_and_the_name_before_the_return(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []

        def note(name: str) -> None:
            real: Callable[..., None] = getattr(os, name)

            def noted(*arguments: object) -> None:
                calls.append(name)
                real(*arguments)

            monkeypatch.setattr(os, name, noted)

        note("fsync")
        note("replace")
        write_atomic(tmp_path / "a", b"data")
        assert calls == ["fsync", "replace", "fsync"]

    def test_bytes_and_text(self, tmp_path: Path) -> None:
        write_atomic(tmp_path / "a", "é")
        write_atomic(tmp_path / "b", "é".encode())
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == "é".encode()
