"""Whole runs through the command line: the run folder that other people's tools rest on."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from matplotlib.image import imread

import hfvae_runner
from hfvae_runner.config import schema
from hfvae_runner.launch import main
from hfvae_runner.storage import provenance

SMALL = ("device=cpu", "image_size=8", "batch_size=128", "train.progress=false")
TERMS = ("mutual_information", "group_tc", "within_tc", "dimension_kl")
FACTORS = [*(f"style[{d}]" for d in range(10)), "class"]
FIGURES = (
    "information_per_factor",
    "kl_history",
    "label_information",
    "prior_samples",
    "reconstructions",
    "traversals",
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The run folder of a command, and the process that made it."""
    place = tmp_path_factory.mktemp("place")
    environment = {**os.environ, "PYTHONPATH": str(Path(hfvae_runner.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    overrides = ("objective=hfvae", "beta=3", "steps=60", "train.log_every=25", "checkpoints.every=30", "seed=7")
    command = [sys.executable, "-m", "hfvae_runner", *SMALL, *overrides]
    process = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    (folder,) = (place / "outputs").iterdir()
    return folder, process


@pytest.fixture
def folder(done: tuple[Path, "subprocess.CompletedProcess[str]"]) -> Path:
    return done[0]


@pytest.fixture
def metrics(folder: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not strict JSON")

    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text(), parse_constant=refuse)
    return content


def test_the_files_of_the_contract(folder: Path) -> None:
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.yaml",
        "data.json",
        "metrics.json",
        "history.csv",
        "run.log",
        ".lock",
        "checkpoints/last.pt",
        "checkpoints/step_00000030.pt",
        "checkpoints/step_00000060.pt",
        *(f"figures/{name}.png" for name in FIGURES),
    }
    assert folder.name.startswith("batch_size-128_beta-3_")
    assert list(folder.parent.parent.iterdir()) == [folder.parent], "nothing is written elsewhere"


def test_the_terminal_shows_what_the_log_holds(done: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    folder, process = done
    log = (folder / "run.log").read_text()
    for line in log.splitlines():
        assert line in process.stderr
    chosen = "dataset=digits model=mlp_mnist likelihood=bernoulli prior=normal_concrete objective=hfvae"
    assert f"{chosen} on cpu: step 0 to 60" in log
    assert f"run folder: {folder}" in log
    assert "ELBO" in log
    assert "Traceback" not in process.stderr
    assert "Warning" not in process.stderr


def test_what_was_run(metrics: dict[str, Any]) -> None:
    assert set(metrics) == {"schema", "status", "run", "prior", "likelihood", "dataset", "measured", "train", "test"}
    assert (metrics["schema"], metrics["status"]) == (1, "completed")
    assert metrics["prior"] == {"name": "normal_concrete"}
    assert metrics["likelihood"] == {"name": "bernoulli"}
    assert metrics["dataset"] == {"name": "digits", "notes": {}}
    run = metrics["run"]
    rate, seconds = run.pop("examples_per_second"), run.pop("wall_seconds")
    assert seconds > 0
    assert rate == pytest.approx(60 * 128 / seconds)
    assert run == {
        "dataset": "digits",
        "model": "mlp_mnist",
        "likelihood": "bernoulli",
        "prior": "normal_concrete",
        "objective": "hfvae",
        "knobs": {"alpha": 1.0, "beta": 3, "gamma": 4.0, "discrete_density": "argmax"},
        "seed": 7,
        "device": "cpu",
        "threads": 1,
        "steps": 60,
        "epochs": pytest.approx(60 / 11),
        "batch_size": 128,
        "examples_seen": 60 * 128,
        "restarts": [],
        "init_from": None,
        "given_factors": {},
        "parameters": 64 * 400
        + 400
        + 2 * (400 * 200 + 200 + 200 * 10 + 10)
        + 400 * 10
        + 10  # encoder
        + 20 * 200
        + 200
        + 200 * 400
        + 400
        + 400 * 64
        + 64,  # decoder
        "versions": {
            "hfvae_runner": hfvae_runner.__version__,
            "commit": provenance.commit(),
            "torch": str(torch.__version__),
        },
    }


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_metrics_of_a_split(split: str, metrics: dict[str, Any]) -> None:
    section = metrics[split]
    numbers = (
        "elbo",
        "reconstruction",
        "kl",
        "kl_mc",
        "kl_mc_se",
        "total_correlation",
        "marginal_kl",
        "block_kl",
        *TERMS,
    )
    for key in (*numbers, "label_information_gap", "discrete_accuracy", "discrete_accuracy_majority"):
        assert isinstance(section[key], float), key
    for key in ("kl_per_factor", "information_per_factor", "label_information", "label_information_permuted"):
        assert list(section[key]) == FACTORS, key
        assert all(isinstance(value, float) for value in section[key].values()), key
    assert section["elbo"] == pytest.approx(section["reconstruction"] - section["kl"])
    assert section["kl_mc"] == pytest.approx(sum(section[term] for term in TERMS), abs=1e-4)
    assert section["aggregate_posterior"]["draws"] == section["examples"]
    assert section["examples"] == {"train": 1437, "test": 360}[split]
    assert section["reconstruction"] > -64 * math.log(2), "better than a coin for each pixel"


def test_the_history(folder: Path) -> None:
    rows = pd.read_csv(folder / "history.csv")
    assert list(rows["step"]) == [1, 25, 50]
    expected = {"step", "epoch", "lr", "loss", "elbo", "kl", "own_share", "examples_per_second", "kl/style"}
    expected |= {f"kl/{factor}" for factor in FACTORS}
    expected |= {f"{kind}/{name}" for kind in ("term", "weight") for name in ("reconstruction", *TERMS)}
    assert set(rows.columns) == expected
    assert rows.to_numpy().dtype == float
    assert rows.notna().to_numpy().all()
    assert rows["loss"].iloc[-1] < rows["loss"].iloc[0]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_can_be_read(name: str, folder: Path) -> None:
    pixels = imread(folder / "figures" / f"{name}.png")
    height, width, channels = pixels.shape
    assert min(height, width) > 300
    assert channels in (3, 4)
    assert pixels[..., :3].std() > 0.01, "not blank"


def test_the_config_runs_again(folder: Path) -> None:
    config = schema.parse(yaml.safe_load((folder / "config.yaml").read_text()))
    assert (config.seed, config.steps, config.batch_size, config.image_size) == (7, 60, 128, 8)
    assert config.knobs["beta"] == 3
    assert config.objective.terms["group_tc"].weight(0) == 3
    assert config.choices == {
        "dataset": "digits",
        "model": "mlp_mnist",
        "likelihood": "bernoulli",
        "prior": "normal_concrete",
        "objective": "hfvae",
    }


def test_the_checkpoint_is_plain(folder: Path) -> None:
    content = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert content["step"] == 60
    assert yaml.safe_load(content["config"]) == yaml.safe_load((folder / "config.yaml").read_text())


# In this process, which has torch already


def test_points_of_the_plane(workplace: Path) -> None:
    argv = [
        "dataset=pinwheel",
        "objective=hfvae",
        "beta=2",
        "gamma=2",
        "steps=20",
        "device=cpu",
        "train.progress=false",
    ]
    assert main([*argv, "hydra.run.dir=run"]) == 0
    assert {path.stem for path in Path("run/figures").iterdir()} == {
        "aggregate_posterior",
        "information_per_factor",
        "kl_history",
        "prior_samples",
        "reconstructions",
    }
    section = json.loads(Path("run/metrics.json").read_text())["test"]
    assert section["label_information"] is None
    assert section["label_information_why"] == "the data set has no labels"


def test_a_prior_that_learns_says_what(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Subspaces have marginals, their factors none: every row, table and figure goes on without these."""
    argv = [
        "objective=isa_vae",
        "prior.learned=true",
        "prior.exponents=2",
        "train.prior_lr=1e-2",
        "likelihood=gaussian",
    ]
    argv += ["likelihood=gaussian", "likelihood.scale=learned"]
    small = ["steps=20", "device=cpu", "image_size=8", "train.progress=false"]
    assert main([*argv, *small, "hydra.run.dir=run"]) == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    prior = metrics["prior"]
    assert (prior["name"], prior["root_exponent"], prior["scale"], prior["learned"]) == ("isa", 2.1, 1, True)
    assert len(set(prior["exponents"])) == 5, "each subspace its own"
    assert all(0.01 < abs(exponent - 2) < 1 for exponent in prior["exponents"])
    assert metrics["likelihood"]["name"] == "gaussian"
    assert metrics["likelihood"]["scale"] < 1, "pixels are between 0 and 1"
    assert metrics["test"]["kl_per_factor"] is None
    header = Path("run/history.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name.startswith("kl/")] == [f"kl/subspace_{g}" for g in range(1, 6)]
    assert "subspace_5[1]" in capsys.readouterr().err


def test_a_refused_pairing_leaves_no_folder(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=conv_joint32", "image_size=28"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: model=conv_joint32 takes images of 32×32")
    assert not list(workplace.iterdir())


def test_a_run_that_diverges(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ("lr=1e30", "steps=5", "checkpoints.every=1", "hydra.run.dir=run")
    assert main([*SMALL, *overrides]) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: training diverged: ")
    last = workplace / "run" / "checkpoints" / "last.pt"
    assert error.endswith(f"not finite at step 2 with lr=1e+30; the last good checkpoint is {last}")
    assert torch.load(last, weights_only=True)["step"] == 1
    assert not (workplace / "run" / "metrics.json").exists()


def test_a_sweep_goes_on_after_a_job_that_diverges(workplace: Path) -> None:
    overrides = ("steps=3", "metrics.figures=false", "hydra.sweep.dir=sweep")
    assert main(["-m", *SMALL, "lr=1e30,1e-3", *overrides]) == 3
    failed, fine = sorted(
        (path for path in Path("sweep").iterdir() if path.is_dir()), key=lambda path: (path / "metrics.json").exists()
    )
    status = json.loads((failed / "status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("diverged", 3)
    assert "lr=1e+30" in status["reason"]
    assert json.loads((fine / "metrics.json").read_text())["status"] == "completed"
    assert not (fine / "status.json").exists()
