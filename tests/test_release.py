"""What is released: the wheel and the source archive have what they need and no more, and one version everywhere."""

import re
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import hfvae_runner

hatchling = pytest.importorskip("hatchling.builders.wheel", reason="no hatchling; pip install hatchling")

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (built,) = hatchling.WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")))
    return Path(built)


def tracked(*folders: str) -> set[str]:
    """The files of folders in the checkout, without what Python writes there."""
    files = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_wheel_has_every_file_of_the_package_and_of_conf(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    conf = {f"hfvae_runner/{name}" for name in tracked("conf")}
    assert inside == tracked("hfvae_runner", "hydra_plugins") | conf
    kinds = {Path(name).suffix for name in inside}
    assert {".py", ".yaml", ".css", ".js", ".j2"} <= kinds
    assert "hfvae_runner/py.typed" in inside
    assert wheel.stat().st_size < MOST_BYTES


def test_its_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (place,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(place).decode())
    assert metadata["Version"] == hfvae_runner.__version__
    assert metadata["License-Expression"] == "MIT"
    assert "# hfvae_runner" in metadata.get_payload()
    extras = set(metadata.get_all("Provides-Extra"))
    assert {
        "joblib",
        "submitit",
        "ray",
        "optuna",
        "export",
        "docs",
        "parquet",
        "tensorboard",
        "wandb",
        "mlflow",
        "test",
    } == extras
    (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "hfvae_runner = hfvae_runner.__main__:main" in archive.read(entry).decode()


def test_a_wheel_can_be_built_from_the_source_archive(tmp_path: Path, wheel: Path) -> None:
    sdist = pytest.importorskip("hatchling.builders.sdist")
    (built,) = sdist.SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(built) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "constraints.txt"} <= {
        p.name for p in unpacked.iterdir()
    }
    assert (unpacked / "tests" / "test_release.py").is_file()
    (again,) = hatchling.WheelBuilder(str(unpacked)).build(directory=str(tmp_path / "again"))
    first, second = (set(zipfile.ZipFile(path).namelist()) for path in (wheel, again))
    assert first == second


def test_one_version_everywhere() -> None:
    version = hfvae_runner.__version__
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == version


def test_constraints_name_each_required_package_once() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in lines if not line.startswith("#")]
    assert len(set(names)) == len(names)
    text = (ROOT / "pyproject.toml").read_text()
    dependencies = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert dependencies is not None
    required = {re.split(r"[><=\[]", each)[0] for each in re.findall(r'"([^"]+)"', dependencies[1])}
    assert required <= set(names)
