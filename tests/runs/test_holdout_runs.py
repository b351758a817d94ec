"""Runs with ``dataset.holdout`` and ``dataset.sampling``, and the zero-shot protocol: digits, a few steps."""

import json
from pathlib import Path

import pytest
import torch
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.data import Dataset
from hfvae_runner.errors import ConfigError
from hfvae_runner.evaluation.decomposition import encode
from hfvae_runner.launch import main
from hfvae_runner.runs import assembly, single

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = (
    "device=cpu",
    "train.progress=false",
    "metrics.figures=false",
    "metrics.exact_limit=1",
    "metrics.batch_size=128",
    "metrics.mmd.draws=20",
    "image_size=8",
    "batch_size=32",
    "steps=3",
)
FEW = (*SMALL, "dataset.subset=300", "latents=2")
SEVENS = "dataset.holdout={all: [{label: 7}, {measure: ink, above_quantile: 0.8}]}"


def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three steps on all digits."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    single.run(config("latents=3"), folder)
    return folder


def data(*overrides: str) -> Dataset:
    return assembly.dataset_of(config(*overrides))


# A third split


def test_the_holdout_is_a_section_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = single.run(config(SEVENS), tmp_path / "run")
    sections = {name: metrics[name] for name in ("train", "test", "holdout")}
    sizes = {name: section["examples"] for name, section in sections.items() if isinstance(section, dict)}
    assert sizes["train"] + sizes["holdout"] == 1437 and sizes["test"] == 360
    assert 20 <= sizes["holdout"] <= 30, "a fifth of the 143 sevens"
    table = capsys.readouterr().err
    assert "train      test   holdout" in table
    described = metrics["dataset"]
    assert isinstance(described, dict) and described["name"] == "digits"
    assert described["notes"]["holdout"].startswith(f"{sizes['holdout']} of 1,437 training examples")


def test_n_is_what_is_left_to_train_on() -> None:
    run = assembly.assemble(config("dataset.holdout={label: 7}"))
    assert run.n_data == 1437 - 143
    assert run.dataset.train.labels is not None and 7 not in run.dataset.train.labels.tolist()
    assert run.batches.steps_per_epoch == run.n_data // 32


def test_without_a_holdout_there_is_no_third_section(finished: Path) -> None:
    assert "holdout" not in json.loads((finished / "metrics.json").read_bytes())


# Weighted sampling


def test_a_weighted_run_sees_the_heavy_more_often() -> None:
    heavy = f"dataset.sampling={{weights: {[1, *[1] * 8, 9]}, factors: [label]}}"
    run = assembly.assemble(config(heavy))
    assert run.n_data == 1437
    labels = run.dataset.train.labels
    assert labels is not None
    nines = int((labels == 9).sum())
    expected = 9 * nines / (1437 + 8 * nines)
    run.batches.labels = labels
    seen = torch.cat([given for step in range(44) if (given := run.batches.at(step)[1]) is not None])
    assert abs((seen == 9).double().mean() - expected) < 0.02


def test_the_training_split_is_evaluated_in_proportion(finished: Path) -> None:
    dataset = data("dataset.sampling={weights: [1, 1, 1, 1, 1, 1, 1, 1, 1, 9], factors: [label]}")
    model = assembly.finished_model(finished, "digits", dataset, "cpu")
    cpu = torch.device("cpu")
    train, test = (encode(model, split, seed=0, batch_size=500, device=cpu) for split in (dataset.train, dataset.test))
    assert train.labels is not None and test.labels is not None and dataset.test.labels is not None
    assert (train.labels == 9).double().mean() > 0.4
    assert torch.equal(train.labels.bincount() > 0, torch.ones(10, dtype=torch.bool))
    assert torch.equal(test.labels.bincount(), dataset.test.labels.bincount())
    assert dataset.test_sampled is not None
    sampled = encode(model, dataset.test_sampled, seed=0, batch_size=500, device=cpu)
    assert sampled.labels is not None and len(sampled.labels) == len(test.labels)
    assert (sampled.labels == 9).double().mean() > 0.4


def test_a_run_has_a_section_of_the_sampled_test_split(workplace: Path) -> None:
    sampling = "dataset.sampling={weights: [1, 1, 1, 1, 1, 1, 1, 1, 1, 99], factors: [label]}"
    command = [
        *(each for each in SMALL if "mmd" not in each),
        sampling,
        "metrics=[mig_binned,clustering]",
        "hydra.run.dir=run",
        "optimized_metric=test_sampled.elbo",
    ]
    assert main(command) == 0
    found = json.loads(Path("run/metrics.json").read_bytes())
    assert found["test_sampled"].keys() == found["test"].keys()
    # Nearly all examples are nines, so that one category is right for nearly all.
    assert found["test_sampled"]["discrete_accuracy_majority"] > 0.85 > found["test"]["discrete_accuracy_majority"]
    assert "test_sampled" in Path("run/run.log").read_text()


# Latent means of a finished run


def test_a_holdout_by_a_latent_mean(finished: Path) -> None:
    condition = f"{{run: '{finished}', factor: 'style[1]', above_quantile: 0.9}}"
    dataset, whole = data(f"dataset.holdout={condition}"), data()
    assert dataset.holdout is not None
    assert len(dataset.holdout) == 144
    model = assembly.finished_model(finished, "digits", whole, "cpu")
    assert not model.training

    def means(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.latents.mode(model.encode(x.float() / 255))[0][:, 1]

    everything = torch.arange(len(dataset.holdout)), torch.arange(len(dataset.train))
    out, left = means(dataset.holdout.x[everything[0]]), means(dataset.train.x[everything[1]])
    assert out.min() > left.max()
    stored = torch.load(finished / "checkpoints" / "last.pt", weights_only=True)["model"]
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_the_first_run_s_random_numbers_are_not_the_second_s(finished: Path) -> None:
    condition = f"dataset.holdout={{run: '{finished}', factor: 'style[1]', above_quantile: 0.5}}"
    by_run = assembly.assemble(config(condition)).model.state_dict()
    plain = assembly.assemble(config("dataset.holdout={label: 7}")).model.state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in by_run.items())
    before = torch.get_rng_state()
    assembly.finished_model(finished, "digits", data(), "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_that_cannot_be_asked(finished: Path, tmp_path: Path) -> None:
    def refused(folder: Path, factor: str, *more: str) -> str:
        with pytest.raises(ConfigError) as refusal:
            data(f"dataset.holdout={{run: '{folder}', factor: '{factor}', above: 0}}", *more)
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    assert "holds no finished run; expected the folder of one" in refused(tmp_path / "nowhere", "style[0]")
    assert "no continuous factor 'stile[0]'; expected one of style[0], style[1], style[2]; did you mean" in refused(
        finished, "stile[0]"
    )
    assert "no continuous factor 'class'" in refused(finished, "class")
    other = refused(finished, "z", "dataset=pinwheel", "image_size=null")
    assert other.endswith("holds a run of dataset=digits; expected dataset=pinwheel")


# The config


@pytest.mark.parametrize("dataset", ["digits", "mnist", "pinwheel", "dsprites_rendered", "newsgroups20"])
def test_every_data_set_may_be_sampled_and_pruned(dataset: str) -> None:
    condition = "dataset.holdout={any: [{label: [7, 9]}, {run: a/b, factor: 'style[3]', below_quantile: 0.1}]}"
    asked = schema.parse(resolved(f"dataset={dataset}", condition, "dataset.sampling={preset: B, factors: [x, y]}"))
    last = {"run": "a/b", "factor": "style[3]", "below_quantile": 0.1}
    assert asked.dataset["holdout"] == {"any": [{"label": [7, 9]}, last]}
    assert asked.dataset["sampling"] == {"preset": "B", "factors": ["x", "y"]}


@pytest.mark.parametrize("given", ["dataset.holdout=7", "dataset.sampling={preset: E, factors: [x, y]}"])
def test_a_mistake_is_refused_before_the_run(given: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.(holdout|sampling)"):
        assembly.check(config(given))


# Zero-shot generalisation: a run with the examples beside one without them


def test_the_same_examples_apart_and_trained_on() -> None:
    own, other = data(SEVENS), data(SEVENS.replace("={", "={trained: true, "))
    everything = torch.arange(len(data().train))
    assert own.holdout is not None and other.holdout is not None
    index = torch.arange(len(own.holdout))
    assert torch.equal(own.holdout.x[index], other.holdout.x[index])
    assert torch.equal(other.train.x[everything], data().train.x[everything])
    assert len(own.train) + len(own.holdout) == len(other.train)
    assert "and trained on" in other.notes["holdout"]


def test_a_sweep_over_both_is_the_protocol(workplace: Path) -> None:
    small = [each for each in FEW if "mmd" not in each]
    conditions = "dataset.holdout={label: 7},{label: 7, trained: true}"
    assert main(["-m", *small, conditions, "metrics=[hoyer]"]) == 0
    results = [json.loads(path.read_bytes()) for path in sorted(workplace.glob("outputs/sweeps/*/metrics.json"))]
    without, with_them = sorted(results, key=lambda each: each["train"]["examples"])
    assert without["train"]["examples"] + without["holdout"]["examples"] == with_them["train"]["examples"]
    assert without["holdout"]["examples"] == with_them["holdout"]["examples"]
    assert without["test"]["examples"] == with_them["test"]["examples"]
    assert without["holdout"]["reconstruction"] != with_them["holdout"]["reconstruction"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{trained: 1, label: 7}", "dataset.holdout.trained=1: expected true or false"),
        ("{trained: true}", "dataset.holdout has nothing; expected one of all, any, label"),
        ("{all: [{trained: true, label: 7}]}", r"dataset.holdout.all\[0\].trained: label goes with nothing"),
    ],
)
def test_trained_belongs_to_the_whole_condition(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data(f"dataset.holdout={given}")
