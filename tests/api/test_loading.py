"""A loaded run gives what the run itself measured, in every layout, and refuses what does not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import hfvae_runner
from hfvae_runner.api.loading import Run
from hfvae_runner.config import schema
from hfvae_runner.errors import CheckpointError, ConfigError, DataError, RunnerError
from hfvae_runner.evaluation.decomposition import encode
from hfvae_runner.runs import assembly
from hfvae_runner.storage import run_folder

FACTORS = tuple(f"style[{d}]" for d in range(10))


@pytest.fixture
def images(run: Run) -> np.ndarray:
    """Test images [20, 8, 8], uint8."""
    dataset = assembly.dataset_of(schema.parse(run.config))
    return dataset.test.x[torch.arange(20)][:, 0].numpy()


def test_what_a_run_tells(run: Run, trained: Path) -> None:
    stored = yaml.safe_load((trained / "config.yaml").read_text())
    assert run.config == {key: value for key, value in stored.items() if key != "trust"}
    assert run.metrics is not None and run.metrics["run"]["steps"] == 20  # type: ignore[index]
    assert list(run.history["step"]) == [1]
    assert run.data.input_shape == (1, 8, 8) and run.data.examples == 1437
    assert not run.model.training and "objective=hfvae" in repr(run)


def test_the_posterior_is_the_one_that_was_measured(run: Run, trained: Path) -> None:
    config = schema.parse(run_folder.load_config(trained))
    finished = assembly.finished_run(config, trained)
    test = finished.dataset.test
    measured = encode(finished.model, test, seed=0, batch_size=128, device=torch.device("cpu"))
    codes = run.encode(test.x[torch.arange(len(test))][measured.order])
    mean, log_scale = measured.posterior[0].chunk(2, dim=1)
    np.testing.assert_allclose(codes.mean, mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(codes.scale, log_scale.exp().numpy(), rtol=1e-5)
    probabilities = torch.softmax(measured.posterior[1], dim=1)
    np.testing.assert_allclose(codes.probabilities["class"], probabilities.numpy(), rtol=1e-5, atol=1e-7)
    assert codes.names == FACTORS and len(codes) == 360


def test_every_layout_and_type_is_the_same(run: Run, images: np.ndarray) -> None:
    expected = run.encode(images)
    as_float = images.astype(np.float64) / 255
    for given in (
        images[:, None],
        images[..., None],
        as_float,
        as_float.astype(np.float32)[..., None],
        torch.from_numpy(images),
        torch.from_numpy(as_float).requires_grad_(),
        np.asfortranarray(images),
        images[::-1][::-1],
    ):
        np.testing.assert_allclose(run.encode(given).mean, expected.mean, rtol=1e-5, atol=1e-6)
    for single in (images[3], images[3][None], images[3][..., None]):
        found = run.encode(single)
        assert found.mean.shape == (1, 10)
        np.testing.assert_allclose(found.mean[0], expected.mean[3], rtol=1e-5, atol=1e-6)


def test_the_batch_size_changes_no_draw(run: Run, images: np.ndarray) -> None:
    one, other = run.encode(images), run.encode(images, batch_size=7)
    np.testing.assert_allclose(one.sample, other.sample, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(one.categories["class"], other.categories["class"])
    assert not np.allclose(one.sample, run.encode(images, seed=1).sample)


def test_gradients_flow_through_the_model(run: Run) -> None:
    x = torch.rand(2, 1, 8, 8, requires_grad=True)
    sum(block.sum() for block in run.model.encode(x)).backward()  # type: ignore[union-attr]
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_decoding_is_the_models(run: Run, images: np.ndarray) -> None:
    codes = run.encode(images)
    decoded = run.decode(codes)
    x = torch.from_numpy(images)[:, None].float() / 255
    with torch.no_grad():
        mode = run.model.latents.mode(run.model.encode(x))
        expected = run.model.likelihood.mean(run.model.decode(run.model.latents.code(mode)))
    assert decoded.shape == (20, 1, 8, 8) and decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, expected.numpy(), rtol=1e-5, atol=1e-6)
    category = codes.probabilities["class"].argmax(1)
    np.testing.assert_array_equal(run.decode(codes.mean, {"class": category}), decoded)
    drawn = run.decode(codes, use="sample")
    np.testing.assert_array_equal(drawn, run.decode(codes.sample, {"class": codes.categories["class"]}))
    np.testing.assert_allclose(run.decode(codes, batch_size=3), decoded, rtol=1e-5, atol=1e-6)


def test_traversals_start_from_the_example(run: Run, images: np.ndarray) -> None:
    codes = run.encode(images[:1])
    own = float(codes.mean[0, 3])
    strip = run.traverse(images[0], "style[3]", [-2, own, 2])
    assert strip.shape == (3, 1, 8, 8)
    np.testing.assert_allclose(strip[1], run.decode(codes)[0], rtol=1e-5, atol=1e-6)
    assert run.traverse(images[:1], "style[0]").shape == (11, 1, 8, 8)
    classes = run.traverse(images[0], "class")
    np.testing.assert_allclose(classes[codes.probabilities["class"][0].argmax()], strip[1], rtol=1e-5, atol=1e-6)
    assert run.traverse(images[0], "class", [2, 5]).shape == (2, 1, 8, 8)


def test_samples_are_reproducible(run: Run) -> None:
    state = torch.get_rng_state()
    one = run.sample(5)
    assert one.shape == (5, 1, 8, 8) and ((one >= 0) & (one <= 1)).all()
    np.testing.assert_array_equal(one, run.sample(5))
    np.testing.assert_allclose(one, run.sample(5, batch_size=2), rtol=1e-5, atol=1e-6)
    assert not np.array_equal(one, run.sample(5, seed=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_no_examples_give_no_codes(run: Run) -> None:
    codes = run.encode(np.zeros((0, 8, 8), np.uint8))
    assert codes.mean.shape == (0, 10) and run.decode(codes).shape == (0, 1, 8, 8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 9, 9), np.uint8), r"examples of shape \[2, 9, 9\]; expected images of 8×8 pixels and 1 channel"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"shape \[2, 3, 8, 8\]; expected images of 8×8 pixels and 1 channel, uint8"),
        (np.full((2, 8, 8), 3.0), "examples from 3 to 3; expected images of .* floats from 0 to 1"),
        (np.full((2, 8, 8), -0.5), "examples from -0.5 to -0.5"),
        (np.full((2, 8, 8), np.nan), "NaN or infinity"),
        (np.zeros((2, 8, 8), np.int64), "examples of type int64"),
        (np.zeros((2, 8, 8), complex), "examples of type complex128"),
        (np.array([["a"]]), "examples of type <U1; expected numbers"),
        (np.array([[None]]), "examples of type object; expected numbers"),
        (torch.zeros(2, 8, 8, dtype=torch.complex64), "examples of type complex64"),
        (np.zeros(()), r"examples of shape \[\]"),
    ],
)
def test_examples_that_do_not_fit(run: Run, given: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run.encode(given)


def test_codes_that_do_not_fit(run: Run, images: np.ndarray) -> None:
    codes = run.encode(images)
    category = np.zeros(20, np.int64)
    for values, categories, message in (
        (codes.mean[:, :9], {"class": category}, r"codes of shape \[20, 9\]; expected \[B, 10\]"),
        (codes.mean, {}, "the model has a discrete variable 'class'"),
        (codes.mean, {"class": category[:3]}, r"categories of 'class' of shape \[3\]; expected \[20\]"),
        (codes.mean, {"class": category + 10}, "from 10 to 10; expected 0 to 9"),
        (codes.mean, {"class": category - 1}, "from -1 to -1; expected 0 to 9"),
        (codes.mean, {"class": category + 0.5}, "expected .* whole numbers"),
        (codes.mean, {"clas": category}, "'clas' is no discrete variable .* did you mean 'class'"),
    ):
        with pytest.raises(DataError, match=message):
            run.decode(values, categories)
    with pytest.raises(DataError, match=r"style\[30\]: no such latent variable"):
        run.traverse(images[0], "style[30]")
    with pytest.raises(DataError, match="20 examples; expected a single one"):
        run.traverse(images, "style[3]")


def test_a_checkpoint_has_its_own_parameters(trained: Path, run: Run, images: np.ndarray) -> None:
    before = hfvae_runner.load(trained / "checkpoints" / "step_00000010.pt", device="cpu")
    assert not np.allclose(before.encode(images).mean, run.encode(images).mean)
    last = hfvae_runner.load(trained / "checkpoints" / "last.pt", device="cpu")
    np.testing.assert_array_equal(last.encode(images).mean, run.encode(images).mean)


def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_the_data_need_not_be_there(
    trained: Path, run: Run, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(trained, tmp_path)

    def missing(*_: object) -> None:
        raise DataError("the data are not there")

    monkeypatch.setattr("hfvae_runner.runs.loading.dataset_of", missing)
    found = hfvae_runner.load(folder, device="cpu")
    np.testing.assert_array_equal(found.encode(images).mean, run.encode(images).mean)
    (folder / "data.json").unlink()
    with pytest.raises(DataError, match="the data are not there"):
        hfvae_runner.load(folder)
    monkeypatch.undo()
    found = hfvae_runner.load(folder, device="cpu")
    np.testing.assert_array_equal(found.encode(images).mean, run.encode(images).mean)
    np.testing.assert_array_equal(found.sample(3), run.sample(3))


def test_a_prior_that_is_read_off_the_data_is_restored(tmp_path: Path) -> None:
    small = ("device=cpu", "image_size=8", "batch_size=64", "steps=2", "metrics=hoyer", "metrics.figures=false")
    whole = hfvae_runner.train([*small, "objective=beta_vae", "prior=anisotropic", f"hydra.run.dir={tmp_path / 'run'}"])
    config = schema.parse(whole.config)
    kept = assembly.finished_run(config, tmp_path / "run").model
    noise = whole.model.latents.prior_noise(50, torch.Generator().manual_seed(0))
    for one, other in zip(whole.model.latents.prior_sample(noise), kept.latents.prior_sample(noise), strict=True):
        torch.testing.assert_close(one, other)


DATA = {"input_shape": [1, 8, 8], "values": "unit_interval", "labels": list("0123456789"), "examples": 5}


@pytest.mark.parametrize(
    ("file", "content", "error", "message"),
    [
        ("data.json", "[]", CheckpointError, "holds list; expected an object"),
        ("data.json", "{", CheckpointError, "cannot be read"),
        ("data.json", {**DATA, "input_shape": [1, 9, 9]}, CheckpointError, "is of another model"),
        ("data.json", {**DATA, "input_shape": [99999, 99999]}, DataError, "input_shape"),
        ("data.json", {**DATA, "values": "odd"}, DataError, "values='odd'"),
        ("data.json", {**DATA, "labels": [1]}, DataError, "labels="),
        ("data.json", {**DATA, "examples": None}, DataError, "examples=None"),
        ("checkpoints/last.pt", "no", CheckpointError, "damaged or no checkpoint"),
    ],
)
def test_damaged_folders(
    file: str, content: object, error: type[RunnerError], message: str, trained: Path, tmp_path: Path
) -> None:
    folder = copied(trained, tmp_path)
    (folder / file).unlink()
    (folder / file).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(error, match=message):
        hfvae_runner.load(folder)


def test_nothing_in_a_folder_is_executed(trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"] = {"_target_": "os.system", "command": f"touch {tmp_path / 'executed'}"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=r"os\.system"):
        hfvae_runner.load(folder)
    assert not (tmp_path / "executed").exists()


def test_what_is_no_run(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "nowhere", "no such run"), (tmp_path, "holds no checkpoint")):
        with pytest.raises(CheckpointError, match=message):
            hfvae_runner.load(path)


def test_a_name_that_the_package_does_not_have() -> None:
    with pytest.raises(AttributeError, match="'laod'"):
        _ = hfvae_runner.laod
    assert {"load", "train", "sweep"} <= set(dir(hfvae_runner))
