"""Runs of InfoGAN: what is generated, what is measured of the codes and of the noise, and what a loaded run does."""

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from launching import refused, resolved

import hfvae_runner
from hfvae_runner.api.loading import Run
from hfvae_runner.config import schema
from hfvae_runner.errors import ConfigError
from hfvae_runner.runs import assembly, single
from hfvae_runner.training.run import inputs_of

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("device=cpu", "image_size=8", "batch_size=128", "train.progress=false", "objective=infogan")
METRICS = "metrics=[mig,mig_blocks,label_information,sap,mmd,active_units,clustering]"
BLOCKS = ("latents=2", "prior.noise=3", "prior.categories=10")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("infogan") / "run"
    single.run(schema.parse(resolved(*SMALL, METRICS, *BLOCKS, "steps=30")), folder)
    return hfvae_runner.load(folder), json.loads((folder / "metrics.json").read_text())["test"]


def test_generated_examples_are_the_decoder_s_from_draws_of_the_prior() -> None:
    run = assembly.assemble(schema.parse(resolved(*SMALL, *BLOCKS)))
    x, _, _, noise, own_noise, _ = inputs_of(run, single.initial_state(run))
    draws = run.objective.draws(own_noise)
    assert draws is not None
    model = run.model
    with torch.no_grad():
        generated = model(x.float() / 255, noise, estimator="stratified", n_data=run.n_data, draws=draws).generated
        expected = model.likelihood.mean(model.decode(model.latents.code(generated.sample)))
        assert torch.equal(generated.data, x.float() / 255)
        assert torch.equal(generated.x, expected)
        for one, other in zip(generated.posterior, model.encode(expected), strict=True):
            assert torch.equal(one, other)
    categories = model.latents.blocks[1].code(generated.sample[1])
    assert set(categories.unique().tolist()) == {0.0, 1.0}, "categories are not relaxed"
    assert model(x.float() / 255, noise, estimator="stratified", n_data=run.n_data).generated is None


def test_batch_statistics_are_those_of_the_data_in_the_encoder_and_of_the_prior_in_the_decoder() -> None:
    run = assembly.assemble(
        schema.parse(resolved(*SMALL[:1], *SMALL[2:], *BLOCKS, "image_size=28", "model=conv_infogan"))
    )
    inputs = inputs_of(run, single.initial_state(run))
    model, x, draws = run.model, inputs[0].float() / 255, run.objective.draws(inputs[4])
    assert draws is not None
    before = deepcopy(model.state_dict())
    model.train()
    with torch.no_grad():
        run.loss(*inputs)
        found = {name: buffer.clone() for name, buffer in model.named_buffers() if "running" in name}
        model.load_state_dict(before)
        model.encode(x)
        model.decode(model.latents.code(model.latents.prior_sample(draws, hard=True)))
    assert found
    for name, buffer in model.named_buffers():
        if "running" in name:
            torch.testing.assert_close(found[name], buffer)


def test_the_history_has_both_players_and_the_bound(trained: tuple[Run, dict[str, Any]]) -> None:
    run, _ = trained
    columns = set(run.history.columns)
    assert {"term/adversarial", "term/adversarial_fit", "term/code_information", "elbo"} <= columns
    assert "term/reconstruction" not in columns


def test_noise_tells_nothing_and_costs_nothing(trained: tuple[Run, dict[str, Any]]) -> None:
    _, test = trained
    assert list(test["kl_per_block"]) == ["z", "class", "noise"]
    assert test["kl_per_block"]["noise"] == 0
    for d in range(3):
        assert test["information_per_factor"][f"noise[{d}]"] == pytest.approx(0, abs=1e-6)
    assert test["elbo"] < test["reconstruction"] < 0


def test_a_loaded_run_encodes_decodes_and_traverses(trained: tuple[Run, dict[str, Any]]) -> None:
    run, _ = trained
    dataset = assembly.dataset_of(schema.parse(run.config))
    images = np.asarray(dataset.test.x[torch.arange(5)][:, 0])
    codes = run.encode(images)
    assert codes.names == ("z[0]", "z[1]", "noise[0]", "noise[1]", "noise[2]")
    assert not codes.mean[:, 2:].any() and (codes.scale[:, 2:] == 1).all()
    decoded = run.decode(codes)
    # The decoder reads 2Φ(z) − 1 of a code, as in training.
    z = torch.from_numpy(codes.mean).float()
    one_hot = torch.eye(10)[torch.from_numpy(codes.probabilities["class"].argmax(1))]
    code = torch.cat([2 * torch.special.ndtr(z[:, :2]) - 1, one_hot, z[:, 2:]], dim=1)
    with torch.no_grad():
        expected = run.model.likelihood.mean(run.model.decode(code)).numpy()
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)
    assert run.traverse(images[:1], "z[0]", [-2, 0, 2]).shape == (3, *dataset.input_shape)


@pytest.mark.usefixtures("workplace")
def test_words_are_not_generated(capsys: pytest.CaptureFixture[str]) -> None:
    config = resolved("device=cpu", "objective=infogan", "prior=normal", "model=nvdm", "likelihood=multinomial")
    spec = {**config, "dataset": {"_target_": "tiny_parts.counts"}, "batch_size": 8}
    with pytest.raises(ConfigError, match="does not fit dataset=digits: it generates examples"):
        assembly.assemble(schema.parse(spec))
    assert "no term that compares the decoder's output" in refused(capsys, "objective.terms.reconstruction=0")
