"""A finished run, a copy of it that a test may change, and a stranger's module."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from strangers import SHORT, STRANGER

from hfvae_runner.launch import main as train


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps."""
    folder = tmp_path_factory.mktemp("original") / "run"
    assert train([*SHORT, f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the stranger's module leaves its marks; it can be imported as ``stranger``."""
    marks, modules = tmp_path / "marks", tmp_path / "modules"
    marks.mkdir()
    modules.mkdir()
    (modules / "stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(modules))
    monkeypatch.setenv("MARKS", str(marks))
    yield marks
    sys.modules.pop("stranger", None)


@pytest.fixture
def folder(original: Path, workplace: Path, marks: Path) -> Path:
    """A copy of the finished run, as ``run`` in the current folder."""
    shutil.copytree(original, workplace / "run")
    return workplace / "run"
