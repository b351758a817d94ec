"""``python -m hfvae_runner.encode``: what it writes, and what it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import hfvae_runner
from hfvae_runner.api.loading import Run
from hfvae_runner.config import schema
from hfvae_runner.encode import main
from hfvae_runner.runs import assembly
from hfvae_runner.score import main as score

NAMES = [f"style[{d}]" for d in range(10)]


def encoded(out: Path, *arguments: str) -> dict[str, np.ndarray]:
    assert main([*arguments, f"out={out}", "device=cpu"]) == 0
    with np.load(out, allow_pickle=False) as content:
        return dict(content)


def test_a_runs_own_splits(trained: Path, run: Run, tmp_path: Path) -> None:
    found = encoded(tmp_path / "codes.npz", str(trained))
    assert set(found) == {"mean", "scale", "sample", "names", "split", "class_probabilities", "label"}
    dataset = assembly.dataset_of(schema.parse(run.config))
    for name, split in {"train": dataset.train, "test": dataset.test}.items():
        rows = found["split"] == name
        assert split.labels is not None
        np.testing.assert_array_equal(found["label"][rows], split.labels.numpy())
        codes = run.encode(split.x[torch.arange(len(split))])
        np.testing.assert_allclose(found["mean"][rows], codes.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            found["class_probabilities"][rows], codes.probabilities["class"], rtol=1e-5, atol=1e-7
        )
    assert list(found["names"]) == NAMES
    test = encoded(tmp_path / "test.npz", str(trained), "split=test")
    assert len(test["mean"]) == 360 and set(test["split"]) == {"test"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_hold_the_same(suffix: str, trained: Path, tmp_path: Path) -> None:
    arrays = encoded(tmp_path / "codes.npz", str(trained), "split=test")
    out = tmp_path / f"codes.{suffix}"
    assert main([str(trained), "split=test", f"out={out}", "device=cpu"]) == 0
    table = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    np.testing.assert_allclose(table[[f"mean/{name}" for name in NAMES]].to_numpy(), arrays["mean"], rtol=1e-6)
    columns = [f"class_probabilities/class/{k}" for k in range(10)]
    np.testing.assert_allclose(table[columns].to_numpy(), arrays["class_probabilities"], rtol=1e-6)
    np.testing.assert_array_equal(table["label"], arrays["label"])


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_what_it_writes_is_scored_without_a_remark(
    suffix: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(trained), "split=test", f"out={tmp_path / f'codes.{suffix}'}", "device=cpu"]) == 0
    capsys.readouterr()
    assert score([str(tmp_path / f"codes.{suffix}"), "metrics=hoyer"]) == 0
    assert "not read" not in capsys.readouterr().err


def test_other_examples(trained: Path, run: Run, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (7, 8, 8), np.uint8)
    np.savez(tmp_path / "own.npz", images=images)
    found = encoded(tmp_path / "codes.npz", str(trained / "checkpoints" / "last.pt"), f"data={tmp_path / 'own.npz'}")
    np.testing.assert_allclose(found["mean"], run.encode(images).mean, rtol=1e-5, atol=1e-6)
    assert "label" not in found and set(found["split"]) == {"data"}


def test_factors_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    small = ["device=cpu", "steps=2", "batch_size=32", "metrics=hoyer", "metrics.figures=false"]
    choices = ["dataset=dsprites_rendered", "dataset.subset=200", "objective=vae", "prior=normal"]
    hfvae_runner.train([*small, *choices, f"hydra.run.dir={folder}"])
    found = encoded(tmp_path / "codes.npz", str(folder), "split=train")
    assert found["factors"].shape == (200, len(found["factor_names"]))
    assert dict(zip(found["factor_names"], found["factor_nuisance"], strict=True))["shape"]
    assert "class_probabilities" not in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "out is missing"),
        (["out=x.npz"], "no run: expected one run folder"),
        (["RUN", "RUN", "out=x.npz"], "expected one run folder or checkpoint"),
        (["RUN", "out=x.txt"], "out=x.txt: expected a name that ends in .npz, .csv, .parquet"),
        (["RUN", "out=no/where/x.npz"], "expected the name of a file in a folder that is there"),
        (["RUN", "out=x.npz", "split=tset"], "split=tset: expected one of train, test; did you mean 'test'"),
        (["RUN", "out=x.npz", "splits=test"], "splits=test: expected one of out, split"),
        (["RUN", "out=x.npz", "data=none.npz"], "none.npz cannot be read"),
        (["RUN", "out=x.npz", "data=wrong.npz"], "wrong.npz holds pictures; expected images or vectors"),
        (["RUN", "out=x.npz", "data=objects.npz"], "objects.npz cannot be read"),
        (["RUN", "out=x.npz", "data=one.npy"], "one.npy holds a single array"),
        (["RUN", "out=x.npz", "data=text.npz"], "text.npz cannot be read"),
        (["RUN", "out=x.npz", "data=large.npz"], "examples of shape [2, 9, 9]; expected images of 8×8"),
        (["RUN", "out=x.npz", "data=large.npz", "split=test"], "split=test with data=large.npz: expected one of them"),
        (["nowhere", "out=x.npz"], "no such run"),
    ],
)
def test_refusals(
    arguments: list[str], message: str, trained: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("wrong.npz", pictures=np.zeros(3))
    np.savez("objects.npz", images=np.array([None, {}], dtype=object))
    np.savez("large.npz", images=np.zeros((2, 9, 9), np.uint8))
    np.save("one.npy", np.zeros(3))
    Path("text.npz").write_text("no archive")
    before = set(workplace.iterdir())
    assert main([str(trained) if each == "RUN" else each for each in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")
    assert set(workplace.iterdir()) == before
