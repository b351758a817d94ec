"""Whole runs on a user's own data through the command line, and their resumption."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from comparing import same_to_the_bit
from PIL import Image

import hfvae_runner
from hfvae_runner.api.encoding import encode
from hfvae_runner.errors import DataError
from hfvae_runner.evaluate import main as evaluate
from hfvae_runner.launch import main

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

SMALL = (
    "device=cpu",
    "threads=1",
    "steps=6",
    "batch_size=16",
    "metrics=[mig,mig_exact,dci,label_information,clustering]",
    "metrics.figures=true",
    "train.progress=false",
)
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (60, 16, 16), dtype=np.uint8)


def run(*overrides: str) -> dict[str, Any]:
    assert main([*SMALL, *overrides, "hydra.run.dir=run"]) == 0
    metrics: dict[str, Any] = json.loads(Path("run/metrics.json").read_text())
    return metrics


def test_arrays_with_continuous_factors() -> None:
    factors = np.stack([np.arange(60) % 3, GENERATOR.random(60)], axis=1)
    np.savez("own.npz", images=IMAGES, factors=factors, factor_names=["shape", "angle"])
    metrics = run("dataset=arrays", "dataset.file=own.npz", "objective=beta_vae")
    assert metrics["run"]["model"] == "auto" and metrics["run"]["prior"] == "normal"
    assert "angle in 10 bins" in metrics["dataset"]["notes"]["factor_bins"]
    assert set(metrics["test"]["mig_per_factor"]) == {"shape", "angle"}
    assert metrics["test"]["mig_exact"] is not None and "dci" in metrics["test"]
    found = hfvae_runner.load("run", device="cpu")
    assert found.encode(IMAGES).mean.shape == (60, 10)


def test_the_likelihood_follows_the_values() -> None:
    np.savez("own.npz", vectors=GENERATOR.normal(size=(60, 5)), label=np.arange(60) % 2)
    metrics = run("dataset=arrays", "dataset.file=own.npz", "objective=vae", "likelihood.scale=learned")
    assert metrics["likelihood"]["name"] == "gaussian" and metrics["likelihood"]["scale"] > 0
    assert metrics["test"]["label_information"]
    assert hfvae_runner.load("run", device="cpu").encode(GENERATOR.normal(size=(3, 5))).mean.shape == (3, 10)


def test_encoded_codes_are_scored_as_the_run_was() -> None:
    # Fifteen values that are no whole numbers, as Shapes3D's orientation, and one that never recurs.
    factors = np.stack([np.linspace(-30, 30, 15)[np.arange(60) % 15], GENERATOR.random(60)], axis=1)
    np.savez("own.npz", images=IMAGES, factors=factors, factor_names=["angle", "size"])
    metrics = run("dataset=arrays", "dataset.file=own.npz", "objective=beta_vae", "metrics=[sap,mcc]")
    encode("run", "codes.npz", split=["train", "test"], device="cpu")
    with np.load("codes.npz") as codes:
        assert sorted(codes["factors"][:, 1].tolist()) == sorted(factors[:, 1].tolist())
    encode("run", "train.npz", split=["train"], device="cpu")
    with np.load("train.npz") as codes:
        found = hfvae_runner.score(mean=codes["mean"], scale=codes["scale"], factors=codes["factors"],
                                   factor_names=codes["factor_names"], metrics=["mcc", "sap"])  # fmt: skip
    assert found["factor_bins"] == {"size": 10}
    for key in ("mcc_pearson", "mcc_spearman", "sap"):
        assert found[key] == pytest.approx(metrics["train"][key], abs=1e-6), key


def test_an_image_folder() -> None:
    for number, image in enumerate(IMAGES):
        folder = Path("own", "ab"[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    overrides = ("dataset=image_folder", "dataset.folder=own", "dataset.size=16", "prior=normal_concrete")
    metrics = run(*overrides, "dataset.channels=1")
    assert metrics["test"]["discrete_accuracy"] is not None
    assert Path("run/figures/traversals.png").exists()


def test_a_table_is_resumed_to_the_bit_and_not_on_other_data(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(GENERATOR.normal(size=(60, 4)), columns=list("abcd")).assign(kind=["x", "y"] * 30)
    frame.to_csv("own.csv", index=False)
    overrides = ("dataset=table", "dataset.file=own.csv", "dataset.label=kind", "objective=beta_vae", "metrics=hoyer")
    run(*overrides)
    assert main([*SMALL, *overrides, "steps=3", "hydra.run.dir=short"]) == 0
    assert main([*SMALL, *overrides, "hydra.run.dir=short", "resume=auto"]) == 0
    same_to_the_bit(Path("short"), Path("run"))
    frame.assign(a=frame["a"] + 1).to_csv("own.csv", index=False)
    before = Path("run/metrics.json").read_bytes()
    assert main([*SMALL, *overrides, "steps=9", "hydra.run.dir=run", "resume=auto"]) == 2
    assert "run was trained on other data (digest changed); expected the same" in capsys.readouterr().err
    assert evaluate(["run", "metrics=hoyer"]) == 2
    assert "run was trained on other data (digest changed); expected the same" in capsys.readouterr().err
    assert Path("run/metrics.json").read_bytes() == before
    with pytest.raises(DataError, match="run was trained on other data"):
        encode("run", "codes.npz", device="cpu")
    assert not Path("codes.npz").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=arrays"], "dataset.file is null"),
        (["dataset=arrays", "dataset.file=no.npz"], "no.npz is missing; expected a file of arrays"),
        (["dataset=image_folder", "dataset.folder=no"], "no is missing; expected a folder with images"),
        (["dataset=table", "dataset.file=no.csv"], "no.csv is missing; expected a table"),
        (["dataset=table", "dataset.fiel=no.csv"], "did you mean 'file'"),
    ],
)
def test_refusals(overrides: list[str], message: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(overrides) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(workplace.iterdir())
