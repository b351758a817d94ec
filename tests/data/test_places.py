"""The user's cache folder, as each platform has it."""

import sys
from pathlib import Path

import pytest

# Before conftest.py hides it from the tests.
from hfvae_runner.data._places import user_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", ".cache/hfvae_runner"),
        ("darwin", "Library/Caches/hfvae_runner"),
        ("win32", "AppData/Local/hfvae_runner/cache"),
    ],
)
def test_each_platform_has_its_own(platform: str, folder: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert user_folder() == home / folder


def test_the_user_may_choose(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert user_folder() == home / "elsewhere" / "hfvae_runner"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_folder() == home / ".cache" / "hfvae_runner"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert user_folder() is None
