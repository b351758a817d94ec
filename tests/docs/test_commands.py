"""Commands of README and docs, run: on the data that are at hand or that a test writes, for two steps."""

import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pages import COMMANDS, TRAINS, first_job, shown
from PIL import Image

import hfvae_runner
from hfvae_runner import evaluate
from hfvae_runner.explore import command as explore
from hfvae_runner.export import command as export
from hfvae_runner.launch import main
from hfvae_runner.report import command as report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

DATA = os.environ.get("HFVAE_DATA")
SHORT = ("steps=2", "metrics=active_units", "metrics.figures=false", "device=cpu", "threads=1", "train.progress=false")
LARGE = ("dsprites_rendered", "xysquares")
"""Data that are drawn, of which a part is enough."""
REPLACED = ("steps=", "epochs=", "batch_size=", "metrics", "threads=", "dataset.subset=", "hydra.sweep.dir=")
RUN = "outputs/default-e3b0c442"
"""The run that pages take for an example, of the command without an override."""


def shortened(arguments: list[str]) -> list[str]:
    """A command's first job, of two steps."""
    job = [each for each in first_job(arguments) if not each.startswith(REPLACED)]
    large = any(f"dataset={name}" in job for name in LARGE)
    return [*job, *SHORT, "batch_size=64", *(["dataset.subset=400"] if large else [])]


def own_data(place: Path) -> None:
    """The files that pages take for a user's own."""
    generator = np.random.default_rng(0)
    np.savez(place / "images.npz", images=generator.integers(0, 256, (200, 16, 16), dtype=np.uint8))
    for folder in ("pictures", "photos"):
        for kind in ("cats", "dogs"):
            (place / folder / kind).mkdir(parents=True)
            for k in range(100):
                Image.fromarray(generator.integers(0, 256, (32, 40, 3), np.uint8)).save(
                    place / folder / kind / f"{k}.png"
                )
    rows = [f"{k},{k % 2},{k % 5},{generator.normal()},{generator.normal()}" for k in range(200)]
    (place / "rows.csv").write_text("\n".join(["id,kind,angle,length,width", *rows]) + "\n")


def is_short(arguments: list[str]) -> bool:
    """Whether it neither resumes the run that pages take for an example, nor needs all of a large grid."""
    return not any("resume=o" in each or "factors: 1" in each for each in arguments)


@pytest.mark.parametrize("arguments", [each for each in COMMANDS if is_short(each)], ids=" ".join)
def test_training(arguments: list[str], workplace: Path) -> None:
    published = any("mnist" in each for each in arguments)
    if published and DATA is None:
        pytest.skip("HFVAE_DATA does not say where the published files are")
    own_data(workplace)
    root = [f"data_root={DATA}"] if published else []
    assert main([*shortened(arguments), *root, "hydra.run.dir=run"]) == 0
    assert (workplace / "run" / "metrics.json").is_file()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs and the representations that pages name."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([*SHORT, f"hydra.run.dir={RUN}"]) == 0
        for sweep in ("sweeps", "grid", "precision", "pinwheel"):
            overrides = ("-m", "seed=0,1", "dataset=pinwheel", "objective=beta_vae")
            assert main([*SHORT, *overrides, f"hydra.sweep.dir=outputs/{sweep}"]) == 0
        factors = np.random.default_rng(0).integers(0, 4, (600, 2))
        code = factors + np.random.default_rng(1).normal(size=factors.shape)
        np.savez("codes.npz", mean=code, factors=factors)
        np.savetxt(
            "other.csv",
            np.hstack([code, factors]),
            delimiter=",",
            header="mean/a,mean/b,factor/a,factor/b",
            comments="",
        )
    return place


@pytest.fixture
def there(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of ``runs`` as the current folder."""
    place = tmp_path / "there"
    shutil.copytree(runs, place)
    monkeypatch.chdir(place)
    yield place


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.report"), ids=" ".join)
def test_report(arguments: list[str], there: Path) -> None:
    assert report.main(arguments) == 0
    assert list(there.rglob("report.html"))


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.score"), ids=" ".join)
def test_score(arguments: list[str], there: Path) -> None:
    assert import_module("hfvae_runner.score").main(arguments) == 0


@pytest.mark.parametrize(
    "arguments", [each for each in shown(f"{TRAINS}.evaluate") if each[0] != "FOLDER"], ids=" ".join
)
def test_evaluate(arguments: list[str], there: Path) -> None:
    assert evaluate.main(arguments) == 0


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.explore"), ids=" ".join)
def test_explore(arguments: list[str], there: Path) -> None:
    assert explore.main(arguments) == 0


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.export"), ids=" ".join)
def test_export(arguments: list[str], there: Path) -> None:
    assert export.main(arguments) == 0
    assert hfvae_runner.load("model", device="cpu").data.input_shape == (1, 28, 28)
