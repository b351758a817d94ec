"""Training and sweeping from Python leave what the command leaves."""

import os
import signal
from pathlib import Path

import pytest
from comparing import same_to_the_bit

import hfvae_runner
from hfvae_runner.encode import main as encode_command
from hfvae_runner.errors import ConfigError, Diverged, RunnerError
from hfvae_runner.export.command import main as export_command
from hfvae_runner.launch import main
from hfvae_runner.storage import run_folder
from hfvae_runner.training.batches import Batch, Batches

SMALL = (
    "device=cpu",
    "image_size=8",
    "batch_size=128",
    "steps=20",
    "metrics=hoyer",
    "metrics.figures=false",
    "threads=1",
)

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")


def test_a_run_is_the_commands_to_the_bit(workplace: Path) -> None:
    run = hfvae_runner.train([*SMALL, "steps=6"])
    assert main([*SMALL, "steps=6", "hydra.run.dir=command"]) == 0
    same_to_the_bit(run.folder, workplace / "command")
    assert run.folder.parent == Path("outputs")
    with pytest.raises(ConfigError, match="holds a finished run"):
        hfvae_runner.train([*SMALL, "steps=6"])
    extended = hfvae_runner.train([*SMALL, "steps=9", "resume=auto"])
    assert extended.folder == run.folder and extended.metrics["run"]["steps"] == 9  # type: ignore[index]
    again = hfvae_runner.train([f"resume={run.folder}", "steps=12"])
    assert again.metrics["run"]["steps"] == 12  # type: ignore[index]


def test_a_sweep_is_the_commands(workplace: Path) -> None:
    overrides = [*SMALL, "steps=3", "objective=beta_vae", "beta=1,4", "seed=0,1"]
    runs = hfvae_runner.sweep(overrides)
    assert [(run.config["beta"], run.config["seed"]) for run in runs] == [(1, 0), (1, 1), (4, 0), (4, 1)]
    folders = {run.folder for run in runs}
    assert folders == {path.parent for path in Path("outputs/sweeps").glob("*/metrics.json")}
    assert len(hfvae_runner.sweep([*overrides, "resume=auto"])) == 4


def test_ctrl_c_leaves_a_checkpoint_and_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Batches.at

    def at(batches: Batches, step: int) -> Batch:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(batches, step)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="resume=auto"):
        patch.setattr(Batches, "at", at)
        hfvae_runner.train([*SMALL, "hydra.run.dir=run"])
    assert signal.getsignal(signal.SIGINT) is handler
    assert run_folder.inspect(Path("run")) == "resumable"
    assert hfvae_runner.load("run", device="cpu").metrics is None
    assert hfvae_runner.train([*SMALL, "hydra.run.dir=run", "resume=auto"]).metrics is not None


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["objective=vea"], ConfigError, "did you mean 'vae'"),
        (["beta=1,4"], ConfigError, "beta=1,4: expected single values; hfvae_runner.sweep takes several"),
        (["seed"], ConfigError, "seed"),
        (["lr=1e30", *SMALL], Diverged, "training diverged"),
        (["resume=nowhere"], RunnerError, "no run there"),
    ],
)
def test_errors_are_raised(overrides: list[str], error: type[RunnerError], message: str) -> None:
    with pytest.raises(error, match=message):
        hfvae_runner.train(overrides)


def test_a_failed_job_is_raised_after_the_others() -> None:
    with pytest.raises(RunnerError, match=r"exit code 3; status\.json"):
        hfvae_runner.sweep([*SMALL, "steps=3", "lr=1e30,1e-3"])
    assert len(list(Path("outputs/sweeps").glob("*/metrics.json"))) == 1


def test_a_run_with_parts_of_one_s_own_is_loaded_encoded_and_exported() -> None:
    trust = "trust=[tiny_parts]"
    overrides = [*SMALL, "model._target_=tiny_parts.networks", trust, "hydra.run.dir=own"]
    run = hfvae_runner.train(overrides, device="cpu")
    assert run.step == 20
    assert encode_command(["own", "out=codes.npz", trust]) == 0
    assert export_command(["own", "out=model", trust]) == 0
    assert encode_command(["own", "out=other.npz"]) == 2 == export_command(["own", "out=other"])
    assert export_command(["own", "out=other", "trust=[a b]"]) == 2 and not Path("other").exists()
