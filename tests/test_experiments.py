"""Every preset composes, says what its paper says, and trains on small files in the published formats."""

import csv
import io
import math
import struct
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from launching import resolved
from published import (
    random_bytes,
    shrink,
    write_cars3d,
    write_celeba,
    write_chairs,
    write_dsprites,
    write_faces3d,
)

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.data._newsgroups import GROUPS, MESSAGES
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.runs import single

pytestmark = pytest.mark.usefixtures("one_thread", "workplace")

EXPERIMENTS = sorted(path.stem for path in (config_folder() / "experiment").glob("*.yaml"))
# Different data sets, networks, priors and likelihoods; the other presets are marked slow.
QUICK = (
    "alpha_beta_pinwheel",
    "hfvae_mnist_supervised",
    "hfvae_news_prodlda",
    "isa_vae_cars3d_learned",
    "joint_vae_chairs",
)
STEPS = 3
SMALL = (
    *("device=cpu", "threads=1", f"steps={STEPS}", "batch_size=4"),
    *("train.progress=false", "train.log_every=1", "metrics.figures=false"),
)
# Options of the data set's own that make it small.
OPTIONS: dict[str, dict[str, object]] = {
    "digits": {"subset": 64},
    "newsgroups20": {"vocabulary_size": 20, "min_documents": 1},
}
DOCUMENTS = {"train": 16, "test": 6}


def write_idx(root: Path) -> None:
    """Forty training and ten test images of 28×28, of ten classes."""
    folder = root / "raw"
    folder.mkdir(parents=True)
    for part, n in (("train", 40), ("t10k", 10)):
        images = struct.pack(">IIII", 0x803, n, 28, 28) + random_bytes(n, 28, 28).tobytes()
        labels = struct.pack(">II", 0x801, n) + (np.arange(n) % 10).astype(np.uint8).tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def write_news(root: Path) -> None:
    """Messages of words from wordaa to wordat, in all of which the first three are."""
    with tarfile.open(root / "20news-bydate.tar.gz", "w:gz") as archive:
        for part, n in DOCUMENTS.items():
            for i in range(n):
                drawn = np.random.default_rng(i).permutation(np.arange(3, 20))[:12]
                words = " ".join(f"worda{chr(97 + v)}" for v in (0, 1, 2, *range(3 + i, min(i + 5, 20)), *drawn))
                content = f"Subject: {words}\n\n{words}\n".encode("latin-1")
                entry = tarfile.TarInfo(f"20news-bydate-{part}/{GROUPS[i % 20]}/{i}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file set of each data set that is read from files."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        for name in ("MNIST", "FashionMNIST"):
            write_idx(root / name)
        write_news(root)
        write_dsprites(root)
        write_faces3d(root)
        write_cars3d(root)
        write_chairs(root)
        write_celeba(root)
    return root


@pytest.fixture
def small(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small files' folder, while the data sets expect no larger ones."""
    shrink(monkeypatch)
    monkeypatch.setitem(MESSAGES, "train", DOCUMENTS["train"])
    monkeypatch.setitem(MESSAGES, "test", DOCUMENTS["test"])
    return data_root


@cache
def published(experiment: str) -> Config:
    """The preset as it is, of full size."""
    return schema.parse(resolved(f"+experiment={experiment}"))


@pytest.mark.parametrize(
    "experiment",
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in EXPERIMENTS],
)
def test_a_preset_trains(experiment: str, small: Path, tmp_path: Path) -> None:
    config = schema.parse(resolved(f"+experiment={experiment}", *SMALL, f"data_root={small}"))
    options = OPTIONS.get(config.choices["dataset"], {})
    metrics = single.run(replace(config, dataset={**config.dataset, **options}), tmp_path / "run")
    tested = metrics["test"]
    assert isinstance(tested, dict)
    assert math.isfinite(tested["elbo"])
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert all(math.isfinite(float(row["loss"])) for row in rows)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_preset_says_where_it_is_from(experiment: str) -> None:
    lines = (config_folder() / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    header = lines[1 : lines.index("defaults:")]
    assert header
    assert all(line.startswith("# ") for line in header)
    names = {
        "hfvae": "HFVAE",
        "beta": "β-TCVAE",
        "joint": "JointVAE",
        "isa": "ISA-VAE",
        "alpha": "Mathieu et al. 2019",
        "control": "ControlVAE",
        "locatello": "Locatello et al. 2019",
        "infogan": "InfoGAN",
    }
    assert names[experiment.partition("_")[0]] in " ".join(line[2:] for line in header)


# Where a data set brings another model, likelihood, prior, batch size or number of epochs, the preset's stand.
SETTINGS = {
    "hfvae_mnist": ("mlp_mnist", "bernoulli", "normal_concrete", 1e-3, 512),
    "hfvae_dsprites": ("mlp_dsprites", "bernoulli", "normal_concrete", 1e-3, 512),
    "hfvae_celeba": ("conv_celeba", "bernoulli", "normal_concrete", 1e-3, 512),
    "hfvae_news_prodlda": ("prodlda", "multinomial", "two_groups", 1e-3, 512),
    "hfvae_news_nvdm": ("nvdm", "multinomial", "two_groups", 5e-5, 64),
    "beta_tcvae_dsprites": ("mlp_1200", "bernoulli", "normal", 1e-3, 2048),
    "beta_tcvae_faces": ("conv_faces", "bernoulli", "normal", 1e-3, 2048),
    "joint_vae_mnist": ("conv_joint32", "bernoulli", "normal_concrete", 5e-4, 64),
    "joint_vae_fashion_mnist": ("conv_joint32", "bernoulli", "normal_concrete", 5e-4, 64),
    "joint_vae_chairs": ("conv_joint64", "bernoulli", "normal_concrete", 1e-4, 64),
    "joint_vae_celeba": ("conv_joint64", "bernoulli", "normal_concrete", 5e-4, 64),
    "joint_vae_dsprites": ("conv_joint64", "bernoulli", "normal_concrete", 5e-4, 64),
    "isa_vae_dsprites": ("mlp_1200", "bernoulli", "isa", 1e-3, 2048),
    "isa_vae_faces_learned": ("conv_faces", "bernoulli", "isa", 1e-3, 2048),
    "isa_vae_cars3d_learned": ("conv_faces", "bernoulli", "isa", 1e-3, 2048),
    "alpha_beta_shapes_student_t": ("conv_shapes", "bernoulli", "student_t", 1e-4, 256),
    "alpha_beta_shapes_anisotropic": ("conv_shapes", "bernoulli", "anisotropic", 1e-4, 64),
    "alpha_beta_pinwheel": ("mlp_pinwheel", "gaussian", "mixture", 1e-3, 400),
    "alpha_beta_celeba_sparse": ("dcgan", "laplace", "sparse", 2e-4, 256),
    "alpha_beta_fashion_mnist_sparse": ("dcgan", "laplace", "sparse", 5e-4, 500),
    "locatello_dip_vae_i": ("conv_standard64", "bernoulli", "normal", 1e-4, 64),
    "infogan_mnist": ("conv_infogan", "bernoulli", "codes_and_noise", 1e-3, 128),
    "infogan_dsprites": ("conv_infogan", "bernoulli", "codes_and_noise", 1e-3, 128),
    "control_vae_dsprites": ("conv_standard64", "bernoulli", "normal", 1e-4, 64),
}


@pytest.mark.parametrize("experiment", SETTINGS)
def test_a_preset_wins_over_what_its_data_set_brings(experiment: str) -> None:
    config = published(experiment)
    chosen = tuple(config.choices[group] for group in ("model", "likelihood", "prior"))
    assert (*chosen, config.lr, config.batch_size) == SETTINGS[experiment]


STUDY = [name for name in EXPERIMENTS if name.startswith("locatello_")]


@pytest.mark.parametrize("dataset", ["cars3d", "dsprites_rendered"])
def test_the_study_s_setting_holds_on_every_data_set(dataset: str) -> None:
    for experiment in STUDY:
        config = schema.parse(resolved(f"+experiment={experiment}", f"dataset={dataset}"))
        assert config.choices["dataset"] == dataset and config.choices["model"] == "conv_standard64"
        assert (config.steps, config.batch_size, config.lr) == (300_000, 64, 1e-4)
    assert len(STUDY) == 6


def test_the_optimisers_are_the_papers() -> None:
    of = {name: published(name).train for name in EXPERIMENTS}
    decays = {name: settings.betas for name, settings in of.items() if tuple(settings.betas) != (0.9, 0.999)}
    assert {name: tuple(betas) for name, betas in decays.items()} == {
        "hfvae_news_prodlda": (0.99, 0.999),
        "alpha_beta_celeba_sparse": (0.5, 0.999),
        "infogan_mnist": (0.5, 0.999),
        "infogan_dsprites": (0.5, 0.999),
    }
    assert {name for name in of if of[name].amsgrad} == {
        "alpha_beta_shapes_student_t",
        "alpha_beta_shapes_anisotropic",
        "alpha_beta_pinwheel",
        "alpha_beta_fashion_mnist_sparse",
    }


@pytest.mark.parametrize("experiment", ["hfvae_news_prodlda", "hfvae_news_nvdm"])
def test_the_topics_of_all_messages_are_measured_exactly(experiment: str) -> None:
    topics = 50
    assert MESSAGES["train"] ** 2 * topics <= published(experiment).metrics.exact_limit
