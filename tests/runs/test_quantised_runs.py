"""Runs with quantised factors: what is measured of them, what is null, and what a loaded run does with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from launching import resolved

import hfvae_runner
from hfvae_runner.api.loading import Run
from hfvae_runner.config import schema
from hfvae_runner.errors import DataError
from hfvae_runner.latents.blocks import QuantisedBlock
from hfvae_runner.runs import assembly, single

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("device=cpu", "image_size=8", "batch_size=128", "train.progress=false", "steps=30")
METRICS = "metrics=[mig,label_information,inclusive_kl,importance_bound,active_units,clustering]"


def trained(folder: Path, *overrides: str) -> tuple[Run, dict[str, Any]]:
    single.run(schema.parse(resolved(*SMALL, METRICS, "objective=qlae", *overrides)), folder)
    return hfvae_runner.load(folder), json.loads((folder / "metrics.json").read_text())["test"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    return trained(tmp_path_factory.mktemp("quantised") / "run", "latents=4")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    beside = ("prior.continuous=2", "prior.categories=10", "metrics.figures=false")
    return trained(tmp_path_factory.mktemp("mixed") / "run", "latents=3", *beside)


def entropy(places: np.ndarray) -> float:
    counts = np.unique(places, return_counts=True)[1]
    return float(-(counts / len(places) * np.log(counts / len(places))).sum())


def images_of(run: Run) -> np.ndarray:
    x = assembly.dataset_of(schema.parse(run.config)).test.x
    return np.asarray(x[torch.arange(len(x))][:, 0])


def test_the_elbo_and_whatever_needs_a_density_are_null_for_a_reason(alone: tuple[Run, dict[str, Any]]) -> None:
    run, test = alone
    keys = ["elbo", "kl", "kl_mc", "total_correlation", "mutual_information", "kl_per_factor", "aggregate_posterior"]
    for key in [*keys, "inclusive_kl", "importance_bound"]:
        assert test[key] is None
        assert test[f"{key}_why"] == "the posterior of a quantised block is a point without a density"
    assert test["reconstruction"] < 0
    assert not {"elbo", "kl"} & set(run.history.columns)
    assert {"term/quantisation", "term/commitment"} <= set(run.history.columns)


def test_information_is_the_entropy_of_the_places(alone: tuple[Run, dict[str, Any]]) -> None:
    run, test = alone
    codes = run.encode(images_of(run))
    assert codes.names == () and list(codes.categories) == [f"z[{d}]" for d in range(4)]
    for name, places in codes.categories.items():
        assert test["information_per_factor"][name] == pytest.approx(entropy(places), abs=1e-9)
        assert np.array_equal(codes.probabilities[name], np.eye(10)[places])
        assert 0 <= test["label_information"][name] <= entropy(places) + 1e-9


def test_decoding_and_traversing_go_over_the_codebooks(alone: tuple[Run, dict[str, Any]]) -> None:
    run, _ = alone
    images = images_of(run)[:5]
    codes = run.encode(images)
    (block,) = run.model.latents.blocks
    assert isinstance(block, QuantisedBlock)
    places = torch.tensor(np.stack(list(codes.categories.values()), axis=1))
    with torch.no_grad():
        expected = run.model.likelihood.mean(run.model.decode(block.at(places))).numpy()
    np.testing.assert_allclose(run.decode(codes), expected, rtol=1e-5, atol=1e-6)
    strip = run.traverse(images[0], "z[2]")
    assert len(strip) == block.n_values
    np.testing.assert_allclose(strip[codes.categories["z[2]"][0]], run.decode(codes)[0], rtol=1e-5, atol=1e-6)
    assert run.sample(3).shape == strip[:3].shape
    with pytest.raises(DataError, match=r"categories of 'z\[1\]' from 10 to 10; expected 0 to 9"):
        run.decode(codes, {"z[1]": np.full(5, 10)})


def test_beside_other_blocks_these_are_measured(mixed: tuple[Run, dict[str, Any]]) -> None:
    run, test = mixed
    assert test["elbo"] is None
    others = ["style[0]", "style[1]", "class"]
    assert list(test["kl_per_factor"]) == others and list(test["kl_per_block"]) == ["style", "class"]
    assert list(test["information_per_factor"]) == ["z[0]", "z[1]", "z[2]", *others]
    assert {f"kl/{name}" for name in others} <= set(run.history.columns)
    codes = run.encode(images_of(run)[:4])
    assert codes.names == ("style[0]", "style[1]")
    assert run.decode(codes).shape[0] == 4


def test_weight_decay_is_adamws_of_the_weights_alone() -> None:
    config = schema.parse(resolved(*SMALL, "objective=qlae", "latents=3", "train.weight_decay=0.5", "lr=0.1"))
    run = assembly.assemble(config)
    optimizer = assembly.optimizer_of(run)
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    for parameter in run.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in run.model.named_parameters():
        # Loshchilov & Hutter 2019, Alg. 2: without a gradient a step is a factor of 1 - lr * decay.
        decayed = parameter.ndim > 1 and "codebook" not in name
        torch.testing.assert_close(parameter.detach(), before[name] * (0.95 if decayed else 1.0))


def test_a_run_on_data_with_factors_is_loaded_without_them(tmp_path: Path) -> None:
    """The number of quantised factors, which follows from the data's, is known where the data are not."""
    generator = np.random.default_rng(0)
    file, factors = tmp_path / "own.npz", generator.integers(0, 3, (300, 3))
    factors[:, 1] = 0
    np.savez(file, images=generator.integers(0, 255, (300, 16, 16), np.uint8), factors=factors)
    data = ("dataset=arrays", f"dataset.file={file}", "image_size=16", "metrics=[hoyer]", "metrics.figures=false")
    single.run(
        schema.parse(resolved("objective=qlae", *data, "device=cpu", "steps=2", "batch_size=64")), tmp_path / "run"
    )
    file.unlink()
    assert len(hfvae_runner.load(tmp_path / "run", device="cpu").model.latents.factor_names) == 4
