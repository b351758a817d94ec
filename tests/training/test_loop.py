"""The training loop: what a row says, what evaluation leaves alone, and how a run ends that diverges."""

import math
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch
from engine import train_alone
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import Diverged
from hfvae_runner.evaluation.decomposition import encode, evaluate
from hfvae_runner.runs import assembly, single
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.history import History
from hfvae_runner.storage.run_folder import RunFolder
from hfvae_runner.training.checkpoint import State, restore
from hfvae_runner.training.run import Run
from hfvae_runner.training.seeds import derived

SMALL = ("device=cpu", "threads=1", "image_size=8", "batch_size=64", "train.progress=false", "metrics.figures=false")


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def config(*overrides: str) -> Config:
    return schema.parse(resolved(*SMALL, *overrides))


def fresh(run: Run) -> State:
    optimizer = torch.optim.Adam(run.model.parameters(), lr=run.config.lr, fused=True)
    return State(run.model, run.objective, optimizer, torch.Generator().manual_seed(derived(run.config.seed, "noise")))


def trained(folder: Path, *overrides: str) -> tuple[Run, State, pd.DataFrame]:
    run = assembly.assemble(config(*overrides))
    state = fresh(run)
    with RunFolder.create(folder, run.config.resolved) as opened:
        train_alone(run, state, opened)
        return run, state, opened.history.read()


HFVAE = ("objective=hfvae", "alpha=2", "beta={linear: [0, 12, 10]}", "steps=12", "train.log_every=3")
JOINT_VAE = ("objective=joint_vae", "ramp_steps=10", "capacity_continuous=3", "steps=12", "train.log_every=3")


def test_rows_of_a_weighted_sum(tmp_path: Path) -> None:
    run, state, rows = trained(tmp_path / "run", *HFVAE)
    assert list(rows["step"]) == [1, 3, 6, 9, 12]
    assert rows["epoch"].to_numpy() * (1437 // 64) == pytest.approx(rows["step"].to_numpy())
    # The weight of a step is that of the steps done before it.
    assert list(rows["weight/group_tc"]) == pytest.approx([0, 2.4, 6, 9.6, 12])
    assert set(rows["weight/mutual_information"]) == {2}
    names = ("mutual_information", "group_tc", "within_tc", "dimension_kl")
    penalties = sum(rows[f"weight/{name}"] * rows[f"term/{name}"] for name in names)
    assert (penalties - rows["term/reconstruction"]).to_numpy() == pytest.approx(rows["loss"].to_numpy(), rel=1e-5)
    assert not any(str(column).startswith("target/") for column in rows)
    assert state.step == run.total_steps == 12


def test_rows_of_a_capacity(tmp_path: Path) -> None:
    _, _, rows = trained(tmp_path / "run", *JOINT_VAE)
    assert list(rows["target/kl_continuous"]) == pytest.approx([0, 0.6, 1.5, 2.4, 3])
    # Capped at log K.
    assert list(rows["target/kl_discrete"]) == pytest.approx([0, 1, math.log(10), math.log(10), math.log(10)])
    parts = [30 * (rows[f"term/{name}"] - rows[f"target/{name}"]).abs() for name in ("kl_continuous", "kl_discrete")]
    assert (sum(parts) - rows["term/reconstruction"]).to_numpy() == pytest.approx(rows["loss"].to_numpy(), rel=1e-5)
    assert rows["term/kl_continuous"].to_numpy() == pytest.approx(rows["kl/style"].to_numpy(), rel=1e-5)
    assert rows["term/kl_discrete"].to_numpy() == pytest.approx(rows["kl/class"].to_numpy(), rel=1e-5, abs=1e-6)


def test_every_kl_adds_up(tmp_path: Path) -> None:
    _, _, rows = trained(tmp_path / "run", *HFVAE)
    factors = [f"kl/style[{d}]" for d in range(10)]
    assert rows[factors].sum(axis=1).to_numpy() == pytest.approx(rows["kl/style"].to_numpy(), rel=1e-6)
    assert (rows["kl/style"] + rows["kl/class"]).to_numpy() == pytest.approx(rows["kl"].to_numpy(), rel=1e-6)
    assert (rows["term/reconstruction"] - rows["kl"]).to_numpy() == pytest.approx(rows["elbo"].to_numpy(), rel=1e-6)
    assert (rows["examples_per_second"] > 0).all()


def test_a_row_is_of_the_batch_before_its_update(tmp_path: Path) -> None:
    _, _, rows = trained(tmp_path / "run", *HFVAE)
    run = assembly.assemble(config(*HFVAE))
    noise = run.model.latents.noise(64, fresh(run).generator)
    own_noise = run.objective.noise(64, torch.Generator())
    loss, values = run.loss(*run.batches.at(0), noise, own_noise, run.objective.knobs(0, run.device))
    assert rows["loss"][0] == loss.item()
    assert rows["term/group_tc"][0] == values["term/group_tc"].item()


def test_training_raises_the_elbo_and_moves_every_parameter(tmp_path: Path) -> None:
    run, _, rows = trained(tmp_path / "run", "objective=vae", "steps=120", "train.log_every=20")
    assert rows["elbo"].iloc[-1] > rows["elbo"].iloc[0] + 10
    start = assembly.assemble(run.config).model.state_dict()
    assert not any(torch.equal(value, start[name]) for name, value in run.model.state_dict().items())


def test_evaluation_leaves_the_training_alone(tmp_path: Path) -> None:
    _, state, rows = trained(tmp_path / "whole", *HFVAE)
    run = assembly.assemble(config(*HFVAE))
    halfway = fresh(run)
    with RunFolder.create(tmp_path / "evaluated", run.config.resolved) as folder:
        train_alone(replace(run, total_steps=6), halfway, folder)
        global_state, noise_state = torch.get_rng_state(), halfway.generator.get_state()
        encoded = encode(run.model, run.dataset.train, seed=3, batch_size=512, device=run.device)
        evaluate(encoded, exact_limit=1e9)
        assert torch.equal(torch.get_rng_state(), global_state)
        assert torch.equal(halfway.generator.get_state(), noise_state)
        train_alone(run, halfway, folder)
        assert run.model.training
        again = folder.history.read()
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, halfway.model.state_dict()[name]), name
    pd.testing.assert_frame_equal(
        again.drop(columns="examples_per_second"), rows.drop(columns="examples_per_second"), check_exact=True
    )


def test_a_signal_while_a_row_is_written_still_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the step's decision what to save and its end."""
    run = assembly.assemble(config(*HFVAE))
    append = History.append

    def interrupted(history: History, row: Mapping[str, float | int]) -> None:
        append(history, row)
        if row["step"] == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(History, "append", interrupted)
    state = fresh(run)
    with pytest.raises(SystemExit) as end, RunFolder.create(tmp_path / "run", run.config.resolved) as folder:
        train_alone(run, state, folder)
    assert end.value.code == 143
    assert run_folder.inspect(tmp_path / "run") == "resumable"
    resumed = fresh(assembly.assemble(run.config))
    restore(resumed, tmp_path / "run" / "checkpoints" / "last.pt")
    assert resumed.step == state.step


def test_the_seconds_of_all_resumes_add_up(tmp_path: Path) -> None:
    run = assembly.assemble(config(*HFVAE))
    state = fresh(run)
    with RunFolder.create(tmp_path / "run", run.config.resolved) as folder:
        train_alone(replace(run, total_steps=6), state, folder)
        half = state.seconds
        assert half > 0
        resumed = fresh(assembly.assemble(run.config))
        restore(resumed, folder.checkpoints / "last.pt")
        assert resumed.seconds == half
        train_alone(run, resumed, folder)
        assert resumed.seconds > half


@pytest.mark.parametrize(
    ("every", "what", "last_good"),
    [
        (4, "reconstruction, kl, loss not finite at step 11", 8),
        (5, "parameter 'encoder.1.weight' is not finite at step 10", 5),
    ],
)
def test_divergence_names_what_and_when(every: int, what: str, last_good: int, tmp_path: Path) -> None:
    overrides = ("objective=beta_vae", "steps=30", "train.log_every=7", f"checkpoints.every={every}")
    run = assembly.assemble(config(*overrides))
    state = fresh(run)
    run.model.get_parameter("encoder.1.weight").register_hook(lambda grad: grad * math.nan if state.step == 9 else grad)
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    with (
        pytest.raises(Diverged) as end,
        RunFolder.create(tmp_path / "run", run.config.resolved) as folder,
    ):
        train_alone(run, state, folder)
    assert end.value.exit_code == 3
    assert str(end.value) == f"training diverged: {what} with lr=0.001; the last good checkpoint is {last.resolve()}"
    assert str(end.value) in (folder.path / "run.log").read_text()
    assert list(folder.history.read()["step"]) == [1, 7]
    again = assembly.assemble(run.config)
    state = fresh(again)
    restore(state, last)
    assert state.step == last_good
    assert all(torch.isfinite(parameter).all() for parameter in again.model.parameters())


def test_divergence_at_once(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"not finite at step 2 with lr=1e\+30; there is no checkpoint before it"):
        single.run(config("lr=1e30", "steps=30"), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert run_folder.inspect(tmp_path / "run") == "leftover"


def test_a_model_that_is_broken_by_its_last_step_has_diverged(tmp_path: Path) -> None:
    """No step comes after it to notice; the evaluation does."""
    message = (
        r"reconstruction, .* not finite on the train split after step 1 with lr=1e\+30; its checkpoint is .*last\.pt"
    )
    with pytest.raises(Diverged, match=message):
        single.run(config("lr=1e30", "steps=1"), tmp_path / "run")
    assert run_folder.inspect(tmp_path / "run") == "resumable"
