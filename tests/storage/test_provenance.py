"""The commit of the program, in and outside of a checkout."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfvae_runner.storage import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with one commit, in place of the package's own."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("seed: 0\n")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "first")):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    provenance.commit.cache_clear()
    yield tmp_path
    provenance.commit.cache_clear()


def test_the_commit_of_a_checkout(checkout: Path) -> None:
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert provenance.commit() == head.stdout.strip()


def test_changed_code_is_said(checkout: Path) -> None:
    (checkout / "conf" / "config.yaml").write_text("seed: 1\n")
    found = provenance.commit()
    assert found is not None and found.endswith("+changes")


def test_the_first_call_decides(checkout: Path) -> None:
    before = provenance.commit()
    (checkout / "conf" / "config.yaml").write_text("seed: 1\n")
    assert provenance.commit() == before


def test_other_files_do_not_count(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("not the program's")
    found = provenance.commit()
    assert found is not None and len(found) == 40


def test_outside_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    provenance.commit.cache_clear()
    assert provenance.commit() is None
    provenance.commit.cache_clear()
