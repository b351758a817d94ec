import os
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import compose_less
from hydra.core.hydra_config import HydraConfig
from hypothesis import settings
from launching import FakeBuild

if "PYTEST_XDIST_WORKER" in os.environ:
    # The test processes share the cores: torch's own threads would only get in each other's way.
    torch.set_num_threads(1)
    # Set for the processes alone, it would change how wide a table is printed.
    os.environ.pop("COLUMNS", None)

# How long an example takes says more about what else runs on the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What started the tests may ignore signals (nohup, a shell's background job), and so would every process they start.
for signum, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(signum) is signal.SIG_IGN:
        signal.signal(signum, usual)


@pytest.fixture(scope="session", autouse=True)
def _composed_less() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        compose_less(patch)
        yield


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> FakeBuild:
    fake = FakeBuild()
    for module in ("hfvae_runner.runs.assembly", "hfvae_runner.runs.single"):
        monkeypatch.setitem(sys.modules, module, fake)
    return fake


@pytest.fixture(autouse=True)
def user_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the user's own cache folder, one that no other test knows; it is made by the first who needs it."""
    folder = tmp_path_factory.getbasetemp() / "users" / uuid.uuid4().hex
    monkeypatch.setattr("hfvae_runner.data._places.user_folder", lambda: folder)
    return folder


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window; the tests are skipped where there is none, or no playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser; expected one of {', '.join(names)}")
    # A browser's sandbox does not start as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()
