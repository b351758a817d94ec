"""A run that was stopped goes on to the bit, and a finished one is extended as if it had been longer from the start."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from comparing import history, last, metrics, same_to_the_bit
from launching import resolved

import hfvae_runner
from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import CheckpointError
from hfvae_runner.launch import main
from hfvae_runner.runs import assembly, single
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.history import History
from hfvae_runner.training.batches import Batch, Batches

# Whatever moves over a run moves over this one.
OBJECTIVES = {
    # The closed-form KL and a weight that moves: vae, and annealed_vae but for its target, which joint_vae has.
    "beta_vae": ("objective=beta_vae", "beta={cosine: [0, 4, 20]}"),
    # Minibatch estimates of q(z), at all levels: beta_tcvae's are among them.
    "hfvae": ("objective=hfvae", "beta={linear: [0, 12, 20]}"),
    "joint_vae": ("objective=joint_vae", "ramp_steps=20"),
    # A critic with an optimiser group and permutations of its own.
    "factor_vae": ("objective=factor_vae", "objective.terms.critic_total_correlation.hidden=32"),
    # Draws from the prior, and a prior that is learned at a rate of its own.
    "alpha_beta": ("objective=alpha_beta", "prior=flow", "prior.steps=4", "train.prior_lr=1e-2", "train.amsgrad=true"),
    "isa_vae": ("objective=isa_vae", "prior.learned=true"),
    # The state of a controller, with a window.
    "dynamic_vae": ("objective=dynamic_vae", "set_point=3"),
    # Codebooks, and weight decay.
    "qlae": ("objective=qlae", "prior.continuous=2", "prior.categories=3", "latents=4"),
    # A second player, and draws of the prior that two terms share.
    "infogan": ("objective=infogan", "latents=2"),
    "supervised": ("objective=hfvae", "supervision.fraction=0.2"),
    # Pairs, drawn for each epoch.
    "ada_gvae": ("objective=ada_gvae", "dataset.pairs={column: label}"),
}
SMALL = ("device=cpu", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false")
# Eleven steps an epoch. A run is cut within the second one, where neither a row nor a checkpoint is due.
STEPS, CUT, LOG_EVERY, CHECKPOINT_EVERY = 23, 13, 4, 6
EVERY = (f"train.log_every={LOG_EVERY}", f"checkpoints.every={CHECKPOINT_EVERY}", "metrics=hoyer")
FIXED = ("exponents.root",)


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


def run(folder: Path, *overrides: str) -> Path:
    single.run(config(*overrides), folder)
    return folder


def run_until(cut: int, folder: Path, *overrides: str, signum: signal.Signals = signal.SIGTERM) -> Path:
    """A run that gets a signal while it takes step ``cut``."""
    original = Batches.at

    def at(batches: Batches, step: int) -> Batch:
        if step == cut - 1:
            os.kill(os.getpid(), signum)
        return original(batches, step)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(Batches, "at", at)
        single.run(config(*overrides), folder)
    assert end.value.code == 128 + signum
    assert run_folder.inspect(folder) == "resumable"
    assert last(folder)["step"] == cut
    return folder


# The rest by name: each of these adds a state of its own.
QUICK = ("hfvae", "factor_vae", "alpha_beta", "dynamic_vae", "qlae", "ada_gvae")


@pytest.fixture(
    scope="module",
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OBJECTIVES],
)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A run that was never stopped, and its overrides."""
    overrides = ("threads=1", *EVERY, *OBJECTIVES[request.param])
    return run(tmp_path_factory.mktemp(request.param) / "whole", *overrides, f"steps={STEPS}"), overrides


def test_a_stopped_run_goes_on_to_the_bit(whole: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    unstopped, overrides = whole
    folder = run_until(CUT, tmp_path / "run", *overrides, f"steps={STEPS}")
    assert list(history(folder)["step"]) == [1, 4, 8, 12], "no row at the cut"
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {
        "last.pt",
        "step_00000012.pt",
        "step_00000013.pt",
    }
    at_the_cut = last(folder)
    run(folder, *overrides, f"steps={STEPS}", "resume=auto")
    assert list(history(folder)["step"]) == [1, 4, 8, 12, 16, 20]
    for part in ("model", "objective"):
        moved = {name: not torch.equal(value, at_the_cut[part][name]) for name, value in last(folder)[part].items()}
        # Exponents of the root, and the like, are fixed.
        assert all(moved[name] for name in moved if not name.endswith(FIXED)), part
    same_to_the_bit(folder, unstopped)


def test_a_finished_run_is_extended_to_the_bit(tmp_path: Path) -> None:
    overrides = ("threads=1", *EVERY, *OBJECTIVES["joint_vae"])
    folder = run(tmp_path / "run", *overrides, "steps=11")
    shorter = metrics(folder)
    run(folder, *overrides, "steps=22", "resume=auto")
    assert metrics(folder)["run"]["steps"] == 22
    assert metrics(folder)["train"] != shorter["train"]
    same_to_the_bit(folder, run(tmp_path / "whole", *overrides, "steps=22"))


def test_a_run_is_stopped_twice_and_in_its_last_step(tmp_path: Path) -> None:
    overrides = ("threads=1", *EVERY, "steps=9")
    folder = run_until(3, tmp_path / "run", *overrides, signum=signal.SIGINT)
    run_until(7, folder, *overrides, "resume=auto")
    run_until(9, folder, *overrides, "resume=auto")
    run(folder, *overrides, "resume=auto")
    same_to_the_bit(folder, run(tmp_path / "whole", *overrides))


OBSERVED = ("threads=1", "steps=12", "metrics.every=5", "metrics=[label_information,mmd]", "metrics.exact_limit=1e6")


def test_measuring_on_the_way_changes_no_bit_and_is_gone_on_with(tmp_path: Path) -> None:
    """Whichever step a run is stopped in: before, at and after one that is measured."""
    unseen = run(tmp_path / "unseen", *OBSERVED, "metrics.every=null")
    whole = run(tmp_path / "whole", *OBSERVED)
    same_to_the_bit(unseen, whole, on_the_way=False)
    lines = (whole / "evaluations.jsonl").read_text()
    assert [json.loads(line)["step"] for line in lines.splitlines()] == [5, 10]
    folder = tmp_path / "run"
    for cut in (4, 5, 11):
        run_until(cut, folder, *OBSERVED, "resume=auto")
    # Killed after a measurement that no checkpoint knows of.
    with (folder / "evaluations.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 15}) + "\n" + '{"step"')
    run(folder, *OBSERVED, "resume=auto")
    same_to_the_bit(folder, whole)


def test_what_is_measured_at_the_last_step_is_what_the_run_ends_with(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", *OBSERVED, "metrics.every=12")
    (line,) = (folder / "evaluations.jsonl").read_text().splitlines()
    assert json.loads(line)["test"] == metrics(folder)["test"]


def test_rows_after_the_checkpoint_are_written_anew(tmp_path: Path) -> None:
    """A run that was killed may have logged past its last checkpoint."""
    overrides = ("threads=1", "steps=12", "train.log_every=1", "metrics=hoyer")
    folder = run_until(5, tmp_path / "run", *overrides)
    killed = History(folder / "history.csv")
    row = {str(column): value for column, value in killed.read().iloc[-1].items()}
    killed.append({**row, "step": 6})
    killed.append({**row, "step": 7})
    killed.close()
    run(folder, *overrides, "resume=auto")
    same_to_the_bit(folder, run(tmp_path / "whole", *overrides))


def test_the_thread_count_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("dataset=pinwheel", "batch_size=100", "steps=4")
    monkeypatch.setattr(assembly, "_THREADS", 2)
    whole = run(tmp_path / "whole", *overrides)
    folder = run_until(2, tmp_path / "run", *overrides)
    monkeypatch.setattr(assembly, "_THREADS", 1)
    run(folder, *overrides, "resume=auto")
    assert torch.get_num_threads() == 2
    assert metrics(folder)["run"]["threads"] == 2
    same_to_the_bit(folder, whole)


def test_a_jobs_thread_count_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "_THREADS", 2)
    overrides = ("dataset=pinwheel", "batch_size=100", "steps=1")
    assert metrics(run(tmp_path / "one", *overrides, "threads=1"))["run"]["threads"] == 1
    assert metrics(run(tmp_path / "open", *overrides))["run"]["threads"] == 2


def test_fewer_steps_than_were_taken_are_refused(tmp_path: Path) -> None:
    folder = run_until(4, tmp_path / "run", "steps=6")
    with pytest.raises(CheckpointError, match=r"last\.pt is at step 4; expected steps or epochs of at least that"):
        run(folder, "steps=3", "resume=auto")
    assert last(folder)["step"] == 4


def command(*arguments: str, cwd: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(hfvae_runner.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "hfvae_runner", *arguments], cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_terminated_command_goes_on_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("objective=vae", "batch_size=64", "threads=1", "steps=300", "train.log_every=10", "metrics=hoyer",
                 "metrics.exact_limit=1e5")  # fmt: skip
    folder = tmp_path / "run"
    with command(*SMALL, *overrides, "hydra.run.dir=run", cwd=tmp_path) as process:
        while process.poll() is None and not (folder / "history.csv").exists():
            time.sleep(0.01)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert run_folder.inspect(folder) == "resumable"
    cut = last(folder)["step"]
    assert 0 < cut < 300
    assert f"stopped by a signal at step {cut} of 300" in errors
    monkeypatch.chdir(tmp_path)
    assert main(["resume=run"]) == 0
    assert f"step {cut} to 300" in capsys.readouterr().err
    same_to_the_bit(folder, run(tmp_path / "whole", *overrides))
