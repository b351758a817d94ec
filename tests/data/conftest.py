from pathlib import Path

import pytest
from published import shrink


@pytest.fixture
def shrunk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A root for small data sets in the publishers' formats, away from the user's cache folder."""
    shrink(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "root"
