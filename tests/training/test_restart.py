"""A divergence is taken back: what goes on is the run that a smaller learning rate would have been."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from comparing import history, last, metrics, same_to_the_bit
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import Diverged
from hfvae_runner.runs import assembly, single
from hfvae_runner.storage import run_folder
from hfvae_runner.training.batches import Batch, Batches

SMALL = (
    *("device=cpu", "threads=1", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false"),
    *("objective=vae", "metrics=[active_units]", "metrics.exact_limit=1e6", "train.log_every=2", "checkpoints.every=4"),
)
AGAIN = ("on_divergence=restart", "train.restart_factor=0.001")

pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


def test_from_the_start_it_is_the_run_with_the_smaller_rate(tmp_path: Path) -> None:
    """Twice too large a rate: at 100 and at 0.1 the second step is not finite."""
    single.run(config("steps=7", "lr=100", *AGAIN), tmp_path / "restarted")
    single.run(config("steps=7", f"lr={100 * 1e-3 * 1e-3}"), tmp_path / "small")
    restarted, small = metrics(tmp_path / "restarted"), metrics(tmp_path / "small")
    assert [each["step"] for each in restarted["run"].pop("restarts")] == [0, 0]
    assert small["run"].pop("restarts") == []
    assert restarted == small
    assert history(tmp_path / "restarted").equals(history(tmp_path / "small"))
    log = (tmp_path / "restarted" / "run.log").read_text()
    assert "not finite at step 2 with lr=100; the last good checkpoint is" in log
    assert "restarted from step 0 with lr=0.1\n" in log
    assert "not finite at step 2 with lr=0.1; the last good checkpoint is" in log


class Poisoned:
    """Batches of which one is not finite as long as the learning rate, in the checkpoint, is the first one."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.step, self.original, self.served = folder, step, Batches.at, 0

    def at(self, batches: Batches, step: int) -> Batch:
        batch = self.original(batches, step)
        if step == self.step and not last(self.folder)["restarts"]:
            self.served += 1
            return batch._replace(x=torch.full_like(batch.x, math.nan, dtype=torch.float32))
        return batch


def poison(monkeypatch: pytest.MonkeyPatch, folder: Path, step: int) -> Poisoned:
    poisoned = Poisoned(folder, step)
    monkeypatch.setattr(Batches, "at", lambda batches, at: poisoned.at(batches, at))
    return poisoned


def test_from_a_checkpoint_every_row_stands_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    poisoned = poison(monkeypatch, folder, step=6)
    single.run(config("steps=10", "train.log_every=1", "on_divergence=restart", "objective=factor_vae"), folder)
    assert poisoned.served == 1
    rows = history(folder)
    assert list(rows["step"]) == list(range(1, 11))
    assert list(rows["lr"]) == [1e-3] * 4 + [5e-4] * 6
    assert metrics(folder)["run"]["restarts"] == [{"step": 4, "lr": 5e-4}]
    rates = [group["lr"] for group in last(folder)["optimizer"]["param_groups"]]
    assert rates == [5e-4, pytest.approx(0.5 * build_rates(folder)[1])], "the critic's own rate, too"


def build_rates(folder: Path) -> list[float]:
    """The learning rates that the run's config starts with."""
    run = assembly.assemble(schema.parse(run_folder.load_config(folder)))
    return [float(group["lr"]) for group in assembly.optimizer_of(run).param_groups]


def test_a_run_that_had_stopped_may_be_told_to_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy is none of the run's identity; at which point it came makes no difference."""
    early, late = tmp_path / "early", tmp_path / "late"
    with monkeypatch.context() as patch:
        poison(patch, early, step=6)
        single.run(config("steps=10", "on_divergence=restart"), early)
    with monkeypatch.context() as patch:
        poison(patch, late, step=6)
        with pytest.raises(Diverged, match="not finite at step 7"):
            single.run(config("steps=10"), late)
        single.run(config("steps=10", "resume=auto", "on_divergence=restart"), late)
    same_to_the_bit(late, early)


def test_there_is_an_end_to_it(tmp_path: Path) -> None:
    overrides = ("steps=7", "lr=100", *AGAIN, "train.restarts=1")
    with pytest.raises(Diverged, match=r"not finite at step 2 with lr=0\.1; .*; restarted 1 times before") as end:
        single.run(config(*overrides), tmp_path / "run")
    assert end.value.exit_code == 3
    assert run_folder.inspect(tmp_path / "run") == "resumable"
    assert last(tmp_path / "run")["step"] == 0
