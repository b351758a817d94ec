import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from launching import FakeBuild


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> FakeBuild:
    fake = FakeBuild()
    monkeypatch.setitem(sys.modules, "hfvae_runner.build", fake)
    return fake


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, without the user's HFVAE_DATA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HFVAE_DATA", raising=False)
    yield tmp_path
    HydraConfig.instance().cfg = None


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small steps are quicker on one thread; whatever a run sets is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
