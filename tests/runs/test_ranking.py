"""UDR over the seeds of a setting, through the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hfvae_runner
from hfvae_runner.config import schema
from hfvae_runner.evaluate import main
from hfvae_runner.launch import main as train
from hfvae_runner.metrics.udr import normal_kl, udr
from hfvae_runner.runs import assembly

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

SMALL = ("device=cpu", "threads=1", "image_size=8", "batch_size=64", "steps=60", "metrics=hoyer",
         "metrics.figures=false", "train.progress=false", "objective=vae")  # fmt: skip


def sweep(*overrides: str) -> list[str]:
    assert train(["-m", *SMALL, *overrides, "hydra.sweep.dir=sweep"]) == 0
    return sorted(str(path.parent) for path in Path("sweep").glob("*/metrics.json"))


def metrics(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(folder, "metrics.json").read_text())
    return content


def test_the_seeds_of_each_setting_are_compared() -> None:
    folders = sweep("seed=0,1,2", "latents=2,3")
    before = {folder: metrics(folder) for folder in folders}
    assert main(["sweep", "udr=spearman"]) == 0
    for latents in (2, 3):
        group = [folder for folder in folders if f"latents-{latents}" in folder]
        runs = [hfvae_runner.load(folder, device="cpu") for folder in group]
        test = assembly.dataset_of(schema.parse(runs[0].config)).test
        codes = [run.encode(test.x[torch.arange(len(test))]) for run in runs]
        means = [code.mean.astype(float) for code in codes]
        expected = udr(
            means, [normal_kl(mean, code.scale.astype(float)) for mean, code in zip(means, codes, strict=True)]
        )
        found = [metrics(folder)["test"] for folder in group]
        np.testing.assert_allclose([each["udr"] for each in found], expected, rtol=1e-6)
        assert all(0 <= each["mcc_between_seeds"] <= 1 for each in found)
    for folder in folders:
        after = metrics(folder)
        assert after["measured"].pop("udr") == {"correlation": "spearman", "runs": 3}
        assert {**after["test"], **before[folder]["test"]}.keys() - before[folder]["test"].keys() == {
            "udr",
            "mcc_between_seeds",
        }
        assert {**after, "test": before[folder]["test"]} == before[folder]


def test_of_a_sweep_what_has_not_finished_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    folders = sweep("seed=0,1,2")
    Path(folders[1], "metrics.json").unlink()
    assert main(["sweep", folders[0], "udr=spearman"]) == 0
    assert "sweep: 1 of 3 runs have not finished and are left out" in capsys.readouterr().err
    assert metrics(folders[0])["measured"]["udr"]["runs"] == 2
    assert main([folders[1], "udr=spearman"]) == 2
    assert f"{folders[1]} holds no finished run; expected the folder of one" in capsys.readouterr().err


def test_a_run_agrees_with_its_copy() -> None:
    (folder, *_) = sweep("seed=0,1")
    for name in ("a", "b"):
        assert train([*SMALL, "seed=0", f"hydra.run.dir={name}"]) == 0
    assert main(["a", "b", folder, "udr=spearman"]) == 0
    assert metrics("a")["test"]["mcc_between_seeds"] > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["udr=spearmen"], "udr='spearmen': expected one of spearman, lasso; did you mean 'spearman'"),
        (["udr=lasso"], "is the only run of its setting; expected several seeds"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    folders = sweep("seed=0", "latents=2,3")
    before = [Path(folder, "metrics.json").read_bytes() for folder in folders]
    capsys.readouterr()
    assert main([*folders, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [Path(folder, "metrics.json").read_bytes() for folder in folders] == before
