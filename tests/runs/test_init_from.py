"""``init_from``: a new run starts from another run's parameters, where they fit."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import last, same_to_the_bit

from hfvae_runner.launch import main

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

SMALL = ("device=cpu", "threads=1", "image_size=8", "batch_size=64", "metrics=hoyer", "metrics.figures=false",
         "train.progress=false")  # fmt: skip


def train(folder: str, *overrides: str) -> dict[str, Any]:
    assert main([*SMALL, *overrides, f"hydra.run.dir={folder}"]) == 0
    metrics: dict[str, Any] = json.loads(Path(folder, "metrics.json").read_text())
    return metrics


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], names: list[str]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in names)


def test_all_parameters_are_taken() -> None:
    train("first", "steps=3")
    # So small a rate that the first step changes nothing in float32.
    metrics = train("second", "steps=1", "lr=1e-30", "beta=7", "seed=5", "init_from=first")
    said = metrics["run"]["init_from"]
    before, after = last(Path("first"))["model"], last(Path("second"))["model"]
    assert (said["path"], said["step"], said["left"]) == ("first/checkpoints/last.pt", 3, [])
    assert set(said["taken"]) == set(before) == set(after)
    assert equal(before, after, list(before))
    assert "parameters taken from first/checkpoints/last.pt, step 3: all" in Path("second/run.log").read_text()


def test_what_does_not_fit_is_named() -> None:
    train("first", "steps=3")
    metrics = train("second", "steps=1", "lr=1e-30", "latents=4", "init_from=first/checkpoints/step_00000003.pt")
    said = metrics["run"]["init_from"]
    before, after = last(Path("first"))["model"], last(Path("second"))["model"]
    assert said["taken"] and said["left"]
    assert equal(before, after, said["taken"])
    assert all(before[name].shape != after[name].shape for name in said["left"])
    assert f"new are {', '.join(said['left'])}" in Path("second/run.log").read_text()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["prior=student_t", "prior.nu=5"], ["prior=student_t", "prior.nu=50"]),
        (["prior=student_t", "prior.nu=5", "prior.learned=true"], ["prior=student_t", "prior.nu=50"]),
        (["prior=generalised_normal", "prior.exponent=1"], ["prior=generalised_normal", "prior.exponent=4"]),
        (["prior=mixture", "prior.variance=1"], ["prior=mixture", "prior.variance=2"]),
        (["prior=mixture", "prior.learned=true"], ["prior=mixture"]),
        (
            ["prior=anisotropic", "prior.learned=false", "prior.variances=[1,1]"],
            ["prior=anisotropic", "prior.learned=false", "prior.variances=[1,9]"],
        ),
    ],
)
def test_what_the_config_fixes_of_the_prior_stays(first: list[str], second: list[str]) -> None:
    plain = ("dataset=pinwheel", "objective=vae", "steps=1", "lr=1e-30", "latents=2")
    train("first", *plain, *first)
    alone = train("alone", *plain, *second)
    metrics = train("second", *plain, *second, "init_from=first")
    assert metrics["prior"] == alone["prior"] and metrics["run"]["init_from"]["left"] == []
    before, after = last(Path("first"))["model"], last(Path("second"))["model"]
    networks = [name for name in after if name.startswith(("encoder.", "decoder."))]
    assert networks and equal(before, after, networks)


def test_what_a_prior_has_learned_is_taken() -> None:
    learned = ("dataset=pinwheel", "objective=vae", "prior=student_t", "prior.learned=true", "latents=2")
    train("first", *learned, "prior.nu=5", "steps=20", "train.prior_lr=0.1")
    metrics = train("second", *learned, "prior.nu=50", "steps=1", "lr=1e-30", "init_from=first")
    before, after = last(Path("first"))["model"], last(Path("second"))["model"]
    assert metrics["run"]["init_from"]["left"] == [] and equal(before, after, list(before))


def test_statistics_of_batch_normalisation_are_taken() -> None:
    plain = ("dataset=digits", "prior=normal", "objective=vae", "model=conv_faces", "steps=1", "batch_size=32")
    first = (*plain, "image_size=64", "dataset.subset=40")
    train("first", *first)
    metrics = train("second", *first, "init_from=first", "lr=1e-30", "seed=1")
    taken = metrics["run"]["init_from"]["taken"]
    assert sum(name.endswith(("running_mean", "running_var")) for name in taken) > 2


def test_a_sweep_with_a_source_that_cannot_be_used_starts_no_job(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SMALL, "-m", "seed=0,1", "steps=1", "resume=auto", "init_from=nowhere", "hydra.sweep.dir=sweep"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "init_from=nowhere: no checkpoint there" in error and not Path("sweep").exists()


@pytest.mark.parametrize("entry", [3, {"path": "x"}, {"path": "x", "step": 1, "taken": [1], "left": []}])
def test_a_checkpoint_with_a_strange_entry_is_refused(entry: object, capsys: pytest.CaptureFixture[str]) -> None:
    train("first", "steps=3")
    path = Path("first/checkpoints/last.pt")
    content = torch.load(path, weights_only=True)
    torch.save({**content, "initialised": entry}, path)
    assert main([*SMALL, "resume=first", "steps=4"]) == 2
    error = capsys.readouterr().err
    assert "'initialised'" in error and "Traceback" not in error


def test_a_resumed_run_does_not_read_it_again() -> None:
    train("first", "steps=3")
    overrides = ("init_from=first", "seed=1")
    train("whole", *overrides, "steps=6")
    train("short", *overrides, "steps=3")
    shutil.rmtree("first")
    metrics = train("short", *overrides, "steps=6", "resume=auto")
    assert metrics["run"]["init_from"]["step"] == 3
    same_to_the_bit(Path("short"), Path("whole"))


def test_stacked_runs_start_from_it_each() -> None:
    train("first", "steps=3")
    command = ["-m", *SMALL, "objective=beta_vae", "beta=1,4", "steps=2", "init_from=first"]
    assert main([*command, "hydra/launcher=stacked", "hydra.sweep.dir=stacked"]) == 0
    assert main([*command, "hydra.sweep.dir=alone"]) == 0
    for path in Path("alone").glob("*/metrics.json"):
        one, other = (
            json.loads(Path(each, path.parent.name, "metrics.json").read_text()) for each in ("alone", "stacked")
        )
        assert one["run"]["init_from"] == other["run"]["init_from"] is not None
        assert one["test"]["elbo"] == pytest.approx(other["test"]["elbo"], rel=1e-5)


def test_a_name_of_its_own() -> None:
    train("first", "steps=1")
    assert main([*SMALL, "steps=1"]) == main([*SMALL, "steps=1", "init_from=first"]) == 0
    assert len(list(Path("outputs").iterdir())) == 2


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "init_from=nowhere: no checkpoint there; expected a run folder, or a checkpoint"),
        ("empty", "init_from=empty: no checkpoint there"),
        ("hostile.pt", "hostile.pt cannot be loaded: it holds more than numbers and text"),
        ("damaged.pt", "damaged.pt is damaged or no checkpoint"),
        ("other", "none of its parameters fits this model"),
    ],
)
def test_refusals(name: str, message: str, swept: bool, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    torch.save(Hostile(), "hostile.pt", pickle_module=pickle)
    Path("damaged.pt").write_bytes(b"no")
    if name == "other":
        train("other", "steps=1", "dataset=pinwheel", "objective=vae", "batch_size=100")
    before = set(workplace.iterdir())
    capsys.readouterr()
    sweep = ["-m", "seed=0,1"] if swept else []
    assert main([*sweep, *SMALL, "steps=1", f"init_from={name}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert set(workplace.iterdir()) == before
