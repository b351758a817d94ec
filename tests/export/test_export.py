"""Exported models: they load back, ONNX computes the same, and a folder appears whole or not at all."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import hfvae_runner
from hfvae_runner.errors import CheckpointError, ConfigError, RunnerError
from hfvae_runner.export import onnx_files
from hfvae_runner.export.command import main

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

PACKAGE = str(Path(hfvae_runner.__file__).parents[1])
SMALL = ("device=cpu", "batch_size=16", "steps=2", "metrics=hoyer", "metrics.figures=false", "train.progress=false")


def trained(*overrides: str) -> hfvae_runner.api.loading.Run:
    return hfvae_runner.train([*SMALL, *overrides, "hydra.run.dir=run"], device="cpu")


def examples(run: Any, n: int = 7) -> np.ndarray:
    return np.random.default_rng(0).random((n, *run.data.input_shape), dtype=np.float32)


def test_a_folder_is_loaded_back(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("image_size=8", "beta=7")
    metrics = run.metrics
    assert main(["run", "out=model"]) == 0
    assert capsys.readouterr().out == "model\n"
    assert {path.name for path in Path("model").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    shutil.rmtree("run")
    found = hfvae_runner.load("model", device="cpu")
    x = examples(run)
    np.testing.assert_array_equal(found.encode(x).sample, run.encode(x).sample)
    np.testing.assert_array_equal(found.sample(3), run.sample(3))
    assert found.config == run.config and found.metrics == metrics
    card = Path("model/README.md").read_text()
    assert "# hfvae on digits" in card and '"beta": 7' in card and "| elbo |" in card


def test_a_convolution_keeps_its_parameters() -> None:
    run = trained("model=auto", "image_size=16", "objective=vae", "prior=anisotropic")
    assert main(["run/checkpoints/last.pt", "out=deep/er/model", "format=safetensors"]) == 0
    found = hfvae_runner.load("deep/er/model", device="cpu")
    for name, value in run.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("overrides", "outputs"),
    [
        (("image_size=8",), {"style_mean", "style_scale", "class_probabilities"}),
        pytest.param(
            ("model=auto", "image_size=16", "objective=vae", "prior=normal"),
            {"z_mean", "z_scale"},
            marks=pytest.mark.slow,
        ),
        pytest.param(("dataset=pinwheel", "objective=vae"), {"z_mean", "z_scale"}, marks=pytest.mark.slow),
        pytest.param(
            ("image_size=8", "objective=infogan", "latents=3", "prior.noise=0", "prior.categories=4"),
            {"z_mean", "z_scale", "class_probabilities"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_onnx_is_torch(overrides: tuple[str, ...], outputs: set[str]) -> None:
    run = trained(*overrides)
    assert main(["run", "out=model", "format=onnx"]) == 0
    import onnxruntime  # after the export, which turns its usage reports off

    assert {path.name for path in Path("model").iterdir()} == {"encoder.onnx", "decoder.onnx", "README.md"}
    sessions = [
        onnxruntime.InferenceSession(f"model/{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("encoder", "decoder")
    ]
    assert {each.name for each in sessions[0].get_outputs()} == outputs
    x = examples(run, 9)
    found = dict(zip((each.name for each in sessions[0].get_outputs()), sessions[0].run(None, {"x": x}), strict=True))
    codes = run.encode(x)
    (mean,) = (value for name, value in found.items() if name.endswith("_mean"))
    np.testing.assert_allclose(mean, codes.mean, rtol=1e-4, atol=1e-5)
    parts = [mean]
    for name, probabilities in codes.probabilities.items():
        np.testing.assert_allclose(found[f"{name}_probabilities"], probabilities, rtol=1e-4, atol=1e-5)
        parts.append(np.eye(probabilities.shape[1], dtype=np.float32)[probabilities.argmax(1)])
    (decoded,) = sessions[1].run(None, {"code": np.concatenate(parts, axis=1)})
    np.testing.assert_allclose(decoded, run.decode(codes), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        *("mlp_mnist", "mlp_1200", "mlp_dsprites", "conv_joint32", "conv_joint64"),
        *("conv_shapes", "conv_faces", "conv_celeba", "dcgan", "conv_standard64"),
    ],
)
def test_every_image_model_is_exported(model: str) -> None:
    size = {"conv_joint32": 32, "mlp_mnist": 28}.get(model, 64)
    trained(f"model={model}", f"image_size={size}", "objective=vae", "prior=normal")
    assert main(["run", "out=model", "format=onnx,safetensors"]) == 0


def test_what_computes_something_else_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained("image_size=8")
    monkeypatch.setattr(onnx_files, "TOLERANCE", 1e-30)
    assert main(["run", "out=model", "format=safetensors,onnx"]) == 2
    assert "onnxruntime differs from torch by" in capsys.readouterr().err
    assert {path.name for path in Path().iterdir()} == {"run"}


@pytest.mark.slow
def test_onnxruntime_reports_nothing() -> None:
    """Its reports wait in a database below the user's cache folder, so none is made."""
    trained("image_size=8")
    Path("home").mkdir()
    passed_on = {
        name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    }
    command = [sys.executable, "-m", "hfvae_runner.export", "run", "out=model", "format=onnx"]
    subprocess.run(command, env={**passed_on, "HOME": str(Path("home").resolve()), "PYTHONPATH": PACKAGE}, check=True)
    assert not [path for path in Path("home").rglob("*") if "onnxruntime" in str(path)]


@pytest.mark.slow
def test_numbers_that_are_not_finite_are_no_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("image_size=8")
    content = torch.load(run.checkpoint, weights_only=True)
    name = next(each for each in content["model"] if each.startswith("decoder."))
    content["model"][name].fill_(float("nan"))
    torch.save(content, run.checkpoint)
    assert main(["run", "out=model", "format=onnx"]) == 2
    assert "onnxruntime differs from torch by nan" in capsys.readouterr().err


def test_an_earlier_checkpoint_has_no_results() -> None:
    trained("image_size=8", "checkpoints.every=1", "checkpoints.keep=5")
    assert main(["run/checkpoints/step_00000001.pt", "out=early"]) == 0 and main(["run", "out=late"]) == 0
    early, late = (hfvae_runner.load(name, device="cpu") for name in ("early", "late"))
    assert (early.step, late.step) == (1, 2) and early.metrics is None and late.metrics is not None
    assert "| elbo |" not in Path("early/README.md").read_text()
    assert "| optimiser steps | 1 |" in Path("early/README.md").read_text()


@pytest.mark.slow
def test_all_can_read_the_files_that_the_mask_allows() -> None:
    trained("image_size=8")
    before = os.umask(0o022)
    try:
        assert main(["run", "out=model", "format=safetensors,onnx"]) == 0
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in Path("model").iterdir()} == {0o644}


def test_a_full_disk_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    trained("image_size=8")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["run", "out=model"]) == 2
    error = capsys.readouterr().err
    assert "cannot be written: No space left on device" in error and "Traceback" not in error
    assert {path.name for path in Path().iterdir()} == {"run"}


def test_a_folder_of_somebody_s_own_is_left_alone() -> None:
    trained("image_size=8")
    Path(".model.exporting").mkdir()
    Path(".model.exporting/mine").touch()
    assert main(["run", "out=model"]) == 0 and Path(".model.exporting/mine").exists()


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(onnx_files, "find_spec", lambda name: None)
    assert main(["run", "out=model", "format=onnx"]) == 2
    assert "needs onnx, onnxscript, onnxruntime; expected pip install 'hfvae_runner[export]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "out is missing; expected out=FOLDER"),
        (["out=model"], "no run: expected one run folder"),
        (["nowhere", "out=model"], "no such run"),
        (["run", "out=model", "format=onyx"], "format=onyx: expected one of safetensors, onnx; did you mean 'onnx'"),
        (["run", "out=taken"], "out=taken is there already; expected a new folder"),
        (["run", "out=file"], "out=file is there already"),
        (["run", "out=model", "formats=onnx"], "formats=onnx: expected one of out, format, device"),
        (["run", "out=file/model"], "cannot be written"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if message == "cannot be written":
        trained("image_size=8")
        capsys.readouterr()
    Path("taken").mkdir()
    Path("taken/mine").touch()
    Path("file").touch()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not Path("model").exists() and Path("taken/mine").exists()


def edited(**changes: object) -> None:
    path = Path("model/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_nothing_in_an_exported_folder_is_executed() -> None:
    run = trained("image_size=8")
    assert main(["run", "out=model"]) == 0
    edited(config={**run.config, "model": {"_target_": "os.system", "command": "touch executed"}})
    with pytest.raises(ConfigError, match=r"os\.system"):
        hfvae_runner.load("model")
    assert not Path("executed").exists()


def test_damaged_exports() -> None:
    run = trained("image_size=8")
    assert main(["run", "out=model"]) == 0
    whole = Path("model/config.json").read_text()
    cases: list[tuple[Any, type[RunnerError], str]] = [
        (lambda: Path("model/model.safetensors").write_bytes(b"no"), CheckpointError, "cannot be read"),
        (lambda: save_file({"a": torch.zeros(2)}, "model/model.safetensors"), CheckpointError, "is of another model"),
        (lambda: Path("model/config.json").unlink(), CheckpointError, "cannot be read"),
        (lambda: edited(schema=2), CheckpointError, "is not an export's"),
        (lambda: edited(data=3), CheckpointError, "is not an export's"),
        (lambda: edited(step="3"), CheckpointError, "is not an export's"),
        (lambda: edited(config={**run.config, "beta": "no"}), ConfigError, "beta='no'"),
    ]
    for spoil, error, message in cases:
        Path("model/config.json").write_text(whole)
        spoil()
        with pytest.raises(error, match=message):
            hfvae_runner.load("model", device="cpu")
