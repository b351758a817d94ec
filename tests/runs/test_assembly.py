"""From a config to a run: what is refused, what fits together, and what the seed decides."""

import logging
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from launching import resolved
from torch import Tensor

from hfvae_runner.config import schema
from hfvae_runner.config.names import Estimator, Values
from hfvae_runner.config.schema import Config
from hfvae_runner.data import Dataset, Split
from hfvae_runner.errors import DataError, RunnerError
from hfvae_runner.latents import aggregate, estimators
from hfvae_runner.runs import assembly, single
from hfvae_runner.training.run import Run

SMALL = ("device=cpu", "train.progress=false", "metrics.figures=false")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-four training and forty test images as MNIST and as Fashion-MNIST, in the published format."""
    root = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        folder = root / name / "raw"
        folder.mkdir(parents=True)
        for part, n in (("train", 64), ("t10k", 40)):
            images = noise.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            labels = (np.arange(n) % 10).astype(np.uint8)
            head = struct.pack(">IIII", 0x803, n, 28, 28)
            (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())
    return root


def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


def bags(*, image_size: None, subset: None, values: Values = "counts") -> Dataset:
    """Forty bags of words from a vocabulary of thirty, called as ``digits`` is."""
    split = Split(torch.randint(4, (40, 30), generator=torch.Generator().manual_seed(0)).float())
    return Dataset(split, split, values)


BAGS = ["dataset._target_=test_assembly.bags", "model=mlp_pinwheel", "prior=normal"]

# Refusals

CASES = {
    "a misspelt option of a data set": (
        ["+dataset.image_sise=8"],
        "dataset=digits does not take dataset.image_sise; it takes image_size, subset; did you mean 'image_size'?",
    ),
    "a misspelt option of a prior": (["+prior.temprature=1"], "did you mean 'temperature'?"),
    "a derived size": (["+prior.n_classes=3"], "prior=normal_concrete does not take prior.n_classes; it takes"),
    "an option of a model that has none": (
        ["+model.hidden=3"],
        "model=mlp_mnist does not take model.hidden; it takes no options",
    ),
    "a missing option": (
        ["~prior.continuous"],
        "prior=normal_concrete needs prior.continuous, which the config does not give",
    ),
    "a missing module": (
        ["model._target_=nowhere.mlp"],
        "model=mlp_mnist: there is no module 'nowhere' for _target_=nowhere.mlp",
    ),
    "a missing function": (
        ["model._target_=hfvae_runner.models.networks.mlp_mnist.mlp_mnits"],
        "has no 'mlp_mnits' to call; did you mean 'mlp_mnist'?",
    ),
    "not a function": (["model._target_=math.pi"], "model=mlp_mnist: math has no 'pi' to call"),
    "no signature": (
        ["model._target_=builtins.dict"],
        "model=mlp_mnist: builtins.dict does not say what it takes; expected a function",
    ),
    "another return type": (
        ["model._target_=fractions.Fraction"],
        "model=mlp_mnist: fractions.Fraction returns Fraction; expected Networks",
    ),
    "no discrete block": (
        ["objective=joint_vae", "prior=normal"],
        "objective=joint_vae does not fit prior=normal: objective.terms.kl_discrete.blocks: no discrete block",
    ),
    "nothing to learn": (
        ["train.prior_lr=1e-3"],
        "train.prior_lr=0.001: prior=normal_concrete has nothing to learn; expected null, or a prior",
    ),
    "no such block": (
        ["objective=joint_vae", "objective.terms.kl_discrete.blocks=[clas]"],
        "no clas block among the prior's blocks (style, class); did you mean 'class'?",
    ),
    "no classes": (
        ["dataset=pinwheel", "prior=normal_concrete"],
        "prior=normal_concrete: the data set has no classes, so the number of categories must be given",
    ),
    "too few categories": (["prior.categories=1"], "prior.categories=1: expected a whole number from 2 on"),
    "no temperature": (["prior.temperature=0"], "prior.temperature=0: expected a number above 0"),
    "images of another size": (
        ["model=conv_joint32", "image_size=28"],
        "model=conv_joint32 takes images of 32×32, the data set gives 28×28; expected image_size=32",
    ),
    "points for a convolution": (
        ["model=conv_joint32", "dataset=pinwheel"],
        "model=conv_joint32 takes images, the data set gives vectors; expected model=mlp_pinwheel",
    ),
    "images for a model of points": (["model=mlp_pinwheel"], "model=mlp_pinwheel takes vectors, the data set gives"),
    "points for pixels": (
        ["dataset=pinwheel", "likelihood=bernoulli"],
        "likelihood=bernoulli does not fit dataset=pinwheel: it scores values from 0 to 1, the data set gives real "
        "numbers; expected likelihood=gaussian or likelihood=laplace",
    ),
    "images for words": (
        ["likelihood=categorical"],
        "likelihood=categorical does not fit dataset=digits: it scores counts, the data set gives values from 0 to 1; "
        "expected likelihood=bernoulli or likelihood=continuous_bernoulli or likelihood=gaussian",
    ),
    "words for pixels": (
        BAGS,
        "likelihood=bernoulli does not fit dataset=digits: it scores values from 0 to 1, the data set gives counts; "
        "expected likelihood=categorical or likelihood=multinomial",
    ),
    "words for points": ([*BAGS, "likelihood=gaussian"], "it scores real numbers, the data set gives counts"),
    "unknown values": (
        [*BAGS, "+dataset.values=cuonts"],
        "dataset=digits has values='cuonts'; expected one of unit_interval, real, counts; did you mean 'counts'?",
    ),
    "a scale where there is none": (
        ["+likelihood.scale=0.1"],
        "likelihood=bernoulli does not take likelihood.scale; it takes no options",
    ),
    "a misspelt scale": (
        ["likelihood=laplace", "likelihood.scale=lerned"],
        "likelihood.scale='lerned': expected predicted, learned or a number above 0; did you mean 'learned'?",
    ),
    "no scale": (["likelihood=gaussian", "likelihood.scale=0"], "likelihood.scale=0: expected predicted, learned or a"),
    "an image too small": (["image_size=3"], "image_size=3: expected a whole number of pixels from 4 on"),
    "a batch too large": (
        ["batch_size=1438"],
        "batch_size=1438: the data set has 1437 training examples; expected at most that",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused_in_one_line(case: str) -> None:
    overrides, message = CASES[case]
    asked = config(*overrides)
    with pytest.raises(RunnerError) as refusal:
        assembly.check(asked)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset.subset=100", "batch_size=128"],
            "batch_size=128: dataset.subset=100 leaves 100 training examples; expected at most that",
        ),
        (["+dataset.image_sise=8"], "dataset=digits does not take dataset.image_sise"),
        (["+prior.temprature=1"], "did you mean 'temperature'?"),
        (["+model.hidden=3"], "model=mlp_mnist does not take model.hidden"),
        (["model._target_=fractions.Fraction"], "fractions.Fraction returns Fraction; expected Networks"),
        (["likelihood=gaussian", "likelihood.scale=0"], "likelihood.scale=0: expected predicted, learned or a"),
        (["metrics.mig.samples=0"], "metrics.mig.samples=0: expected a whole number from 1 on"),
        (["device=cuda:99"], "device=cuda:99: this machine has"),
    ],
)
def test_what_the_config_alone_can_tell_comes_before_the_data_are_read(
    overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Config] = []
    monkeypatch.setattr(assembly, "dataset_of", read.append)
    with pytest.raises(RunnerError) as refusal:
        assembly.check(config(*overrides))
    assert message in str(refusal.value)
    assert not read


def test_a_subset_of_the_batch_s_size_is_read() -> None:
    assert len(assembly.assemble(config("dataset.subset=128", "batch_size=128")).dataset.train) == 128


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_missing_files_are_named(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte is missing: run ") as refusal:
        assembly.check(config(f"dataset={dataset}", "dataset.download=false", f"data_root={tmp_path}"))
    assert "data_root=FOLDER or set HFVAE_DATA" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("device", "there"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_device_that_is_not_there(device: str, there: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    message = f"device={device}: this machine has {there} CUDA devices; expected auto or cpu"
    with pytest.raises(RunnerError, match=message):
        assembly.check(config(f"device={device}"))


def test_auto_is_the_cpu_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert assembly.assemble(config("device=auto")).device == torch.device("cpu")


# Pairings

MAIN = ("vae", "beta_vae", "beta_tcvae", "hfvae", "joint_vae")
TABLE_1 = ("annealed_vae", "kumar_table1", "zhao_table1", "achille_soatto_table1", "kim_chen_table1")
PAIRINGS = [
    *(("mnist", objective, ()) for objective in MAIN),
    ("fashion_mnist", "joint_vae", ()),  # the same files as MNIST's
    *(("digits", objective, ("image_size=8",)) for objective in (*MAIN, *TABLE_1)),
    *(("pinwheel", objective, ()) for objective in MAIN if objective != "joint_vae"),
    ("pinwheel", "joint_vae", ("prior=normal_concrete", "prior.categories=4")),
    ("pinwheel", "hfvae", ("model=mlp_mnist",)),
    ("mnist", "hfvae", ("prior=normal", "latents=3")),
    ("mnist", "joint_vae", ("model=conv_joint32",)),
    ("pinwheel", "vae", ("likelihood=laplace",)),
    ("mnist", "vae", ("likelihood=continuous_bernoulli",)),
    ("fashion_mnist", "vae", ("likelihood=laplace", "likelihood.scale=0.1")),
    ("digits", "hfvae", ("model=conv_joint32", "image_size=32", "likelihood=gaussian")),
    ("digits", "hfvae", ("model=conv_joint32",)),
    ("mnist", "hfvae", ("discrete_density=enumerate",)),
    ("mnist", "hfvae", ("discrete_density=concrete", "objective.estimator=mss")),
]


@pytest.mark.parametrize(
    ("dataset", "objective", "more"),
    PAIRINGS,
    ids=["-".join((dataset, objective, *more)) for dataset, objective, more in PAIRINGS],
)
def test_a_pairing_runs(dataset: str, objective: str, more: tuple[str, ...], data_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    choices = (f"dataset={dataset}", f"objective={objective}", f"data_root={data_root}")
    limits = ("steps=2", "batch_size=16", "metrics=[clustering]", "metrics.exact_limit=1e6", "metrics.batch_size=128")
    metrics = single.run(config(*choices, *limits, *more), folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.yaml",
        "data.json",
        "history.csv",
        "metrics.json",
        "run.log",
        ".lock",
        "checkpoints/last.pt",
        "checkpoints/step_00000002.pt",
    }
    described = metrics["run"]
    assert isinstance(described, dict)
    assert (described["dataset"], described["objective"], described["steps"]) == (dataset, objective, 2)
    sizes = {"digits": (1437, 360), "pinwheel": (400, 400)}.get(dataset, (64, 40))
    for split, n in zip(("train", "test"), sizes, strict=True):
        section = metrics[split]
        assert isinstance(section, dict)
        assert section["examples"] == n
        assert (section["discrete_accuracy"] is None) == (dataset == "pinwheel" or "prior=normal" in more)


@pytest.mark.parametrize("likelihood", ["categorical", "multinomial"])
def test_bags_of_words_run(likelihood: str, tmp_path: Path) -> None:
    few = ("objective=vae", "steps=2", "batch_size=16")
    metrics = single.run(config(*BAGS, f"likelihood={likelihood}", *few), tmp_path / "run")
    assert metrics["likelihood"] == {"name": likelihood}
    assert isinstance(metrics["test"], dict) and metrics["test"]["reconstruction"] < 0


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_a_learned_scale_is_trained_saved_and_told(likelihood: str, tmp_path: Path) -> None:
    choices = ("dataset=pinwheel", "objective=vae", f"likelihood={likelihood}", "likelihood.scale=learned")
    metrics = single.run(config(*choices, "steps=5", "lr=0.01", "metrics.exact_limit=1"), tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["model"]
    log_scale = saved["likelihood.scale.shared"].item()
    assert log_scale != 0
    assert metrics["likelihood"] == {"name": likelihood, "scale": math.exp(log_scale)}


def test_n_is_the_training_set_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def spy(estimator: Estimator, batch: int, n_data: int, **where: object) -> Tensor:
        if (batch, n_data) != (2, 2):  # the made-up examples on which every term is tried before the run
            asked.append((batch, n_data))
        return estimators.log_weights(estimator, batch, n_data, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(aggregate, "log_weights", spy)
    run = single.run(config("image_size=8", "batch_size=100", "steps=3", "metrics.exact_limit=1e9"), tmp_path / "run")
    assert run["status"] == "completed"
    assert asked == [(100, 1437)] * 3, "training alone; the evaluation is exact"


# What the seed and the numbers decide


def parameters(run: Run) -> dict[str, Tensor]:
    return run.model.state_dict()


def test_the_seed_alone_decides_the_parameters() -> None:
    one = parameters(assembly.assemble(config("image_size=8")))
    torch.rand(7)
    again = parameters(assembly.assemble(config("image_size=8", "objective=vae", "batch_size=7", "lr=1")))
    other = parameters(assembly.assemble(config("image_size=8", "seed=1")))
    for name, value in one.items():
        assert torch.equal(value, again[name]), name
        assert not torch.equal(value, other[name]), name


def test_the_seed_decides_the_run(tmp_path: Path) -> None:
    small = ("image_size=8", "batch_size=32", "steps=3", "metrics.exact_limit=1", "metrics.batch_size=128")
    one, again, other = (
        single.run(config(*small, f"seed={seed}"), tmp_path / str(number)) for number, seed in enumerate((5, 5, 6))
    )
    assert one["test"] == again["test"]
    assert one["test"] != other["test"]


def test_steps_win_over_epochs() -> None:
    assert assembly.assemble(config("image_size=8", "epochs=3", "batch_size=100")).total_steps == 3 * 14
    assert assembly.assemble(config("image_size=8", "epochs=3", "steps=5", "batch_size=100")).total_steps == 5


def test_the_concrete_block_is_scored_as_the_objective_says() -> None:
    run = assembly.assemble(config("image_size=8", "discrete_density=enumerate"))
    assert [block.enumerated for block in run.model.latents.blocks] == [False, True]


def test_published_sizes() -> None:
    networks = assembly.assemble(config("objective=hfvae")).model
    assert sum(parameter.numel() for parameter in networks.encoder.parameters()) == 482_430
    assert sum(parameter.numel() for parameter in networks.decoder.parameters()) == 398_984


def test_a_ramp_that_outlasts_the_run_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small = ("image_size=8", "batch_size=32", "steps=3", "metrics.exact_limit=1", "metrics.batch_size=128")
    with caplog.at_level(logging.WARNING, "hfvae_runner"):
        single.run(config(*small, "objective=joint_vae", "ramp_steps=4"), tmp_path / "long")
        assert caplog.messages == [
            f"the target of {name} moves until step 4, but the run ends at step 3"
            for name in ("kl_continuous", "kl_discrete")
        ]
        caplog.clear()
        single.run(config(*small, "objective=joint_vae", "ramp_steps=3"), tmp_path / "short")
        assert not caplog.messages
