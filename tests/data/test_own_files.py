"""Whether a user's own files have changed."""

from pathlib import Path

import pytest

from hfvae_runner.data.own_files import standing_of


def test_files_and_folders_stand_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "a.png").write_bytes(b"1")
    (tmp_path / "own.npz").write_bytes(b"12")
    section = {"file": "own.npz", "folder": "folder", "test_file": None, "test_folder": "missing", "subset": 3}
    before = standing_of(section)
    assert [Path(str(entry[0])).name for entry in before] == ["own.npz", "a.png"]  # type: ignore[index]
    assert standing_of(section) == before
    (tmp_path / "folder" / "inner" / "a.png").write_bytes(b"123")
    assert standing_of(section) != before


def test_a_data_set_without_files_of_ones_own_has_none() -> None:
    assert standing_of({"_target_": "a.b", "root": "data", "subset": None}) == ()
