"""Member i of a stack is the single run i: for every objective, through resumes, divergences and signals.

Tolerance: products of several matrices at once are summed in another order, and Adam divides by the gradients' size. On
the tiny runs here every value is within 1e-4, of its size or in nats, and every parameter within 1e-5.
"""

import json
import logging
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from comparing import history, last, leaves, metrics
from stacks import SECTIONS, poisoned, stacked, tiny
from torch import Tensor, nn

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import Diverged, StorageError
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.models.networks import Networks
from hfvae_runner.runs import group, single
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.history import History

pytestmark = pytest.mark.usefixtures("one_thread")

OBJECTIVES = sorted(path.stem for path in (config_folder() / "objective").glob("*.yaml"))


def alike(folder: Path, other: Path) -> None:
    """Raises AssertionError where the run folders differ by more than rounding."""
    contents = [last(each) for each in (folder, other)]
    for content in contents:
        content["rng"] = content["rng"]["torch"]
        del content["seconds"]
    one, two = (dict(leaves(content)) for content in contents)
    assert one.keys() == two.keys()
    for place, value in one.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            torch.testing.assert_close(
                value, two[place], rtol=1e-4, atol=1e-5, msg=lambda text, at=place: f"{at}: {text}"
            )
        else:
            assert torch.equal(value, two[place]) if isinstance(value, Tensor) else value == two[place], place
    pd.testing.assert_frame_equal(history(folder), history(other), rtol=1e-4, atol=1e-4)
    files = [sorted(path.relative_to(each).as_posix() for path in each.rglob("*")) for each in (folder, other)]
    assert files[0] == files[1]
    assert (folder / "config.yaml").read_bytes() == (other / "config.yaml").read_bytes()


def the_same(configs: Sequence[Config], tmp_path: Path) -> None:
    assert stacked(configs, tmp_path / "together") == [None] * len(configs)
    for index, config in enumerate(configs):
        single.run(config, tmp_path / "alone" / str(index))
        alike(tmp_path / "together" / str(index), tmp_path / "alone" / str(index))


# These weigh the same terms as other objectives, and are marked slow.
SLOW = {name for name in OBJECTIVES if name.endswith("_table1")}
SLOW |= {"ada_ml_vae", "annealed_vae", "beta_vae", "dip_vae_ii", "dynamic_vae", "info_vae"}


@pytest.mark.parametrize(
    "objective", [pytest.param(each, marks=pytest.mark.slow) if each in SLOW else each for each in OBJECTIVES]
)
def test_every_objective(objective: str, tmp_path: Path) -> None:
    the_same([tiny(objective, member, steps=4) for member in range(3)], tmp_path)


@pytest.mark.parametrize("density", schema.DISCRETE_DENSITIES)
def test_every_density_of_a_discrete_variable(density: str, tmp_path: Path) -> None:
    the_same([tiny("hfvae", member, steps=4, objective={"discrete_density": density}) for member in range(3)], tmp_path)


def normalised(**options: Any) -> Networks:
    """Convolutions with batch normalisation."""
    latents, outputs = options["latents"], sum(block.n_parameters for block in options["latents"].blocks)
    encoder = [
        nn.Conv2d(1, 3, 2, stride=2, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, outputs),
    ]
    decoder = [nn.Linear(latents.n_code, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(), nn.Unflatten(1, (3, 2, 2))]
    pixels = [nn.ConvTranspose2d(3, 1, 2, stride=2), nn.Unflatten(1, (1, 1))]
    return Networks(nn.Sequential(*encoder), nn.Sequential(*decoder, *pixels))


def forgetful(**options: Any) -> Networks:
    """Networks with dropout."""
    networks = normalised(**options)
    return Networks(nn.Sequential(networks.encoder, nn.Dropout(0.1)), networks.decoder)


class Peeking(nn.Module):
    """Looks at a value, of which there are several at once in a stack."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() < 1e9 else -x


def peeking(**options: Any) -> Networks:
    networks = normalised(**options)
    return Networks(nn.Sequential(networks.encoder, Peeking()), networks.decoder)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "labels": ("hfvae", {"supervision": {"fraction": 0.5, "weight": 2.0}}),
    "factors": (
        "hfvae",
        {
            "dataset": {"_target_": "tiny_parts.with_factors"},
            "supervision": {"factor_examples": 5},
        },
    ),
    "learned prior": ("isa_vae", {"prior": {"learned": True}, "train": {**SECTIONS["train"], "prior_lr": 0.01}}),
    "amsgrad": ("vae", {"train": {**SECTIONS["train"], "amsgrad": True, "betas": [0.5, 0.9]}}),
    "convolutions": ("beta_tcvae", {"model": {"_target_": "test_stacking.normalised"}}),
    "generated categories": (
        "infogan",
        {"prior": {"categories": 3}, "model": {"_target_": "test_stacking.normalised"}},
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant: str, tmp_path: Path) -> None:
    objective, changes = VARIANTS[variant]
    the_same([tiny(objective, member, steps=4, **changes) for member in range(3)], tmp_path)


def test_controllers_with_gains_and_states_of_their_own(tmp_path: Path) -> None:
    configs = []
    for member in range(3):
        gains = {"target": member % 2, "k_p": 1 + member, "k_i": 0.1 * member, "least": 0.1 * member, "window": 2}
        gains["most"] = 0.5 if member == 2 else None
        terms = {"reconstruction": 1, "kl": {"pi_control": gains}}
        section = {"estimator": "stratified", "discrete_density": "argmax", "terms": terms}
        configs.append(tiny("control_vae", member, steps=6, objective=section))
    the_same(configs, tmp_path)
    weights = [history(tmp_path / "together" / str(member))["weight/kl"] for member in range(3)]
    assert all(own.nunique() > 1 for own in weights[:2])
    assert weights[2].max() == 0.5


def test_bf16(tmp_path: Path) -> None:
    """A bfloat16 has eight bits, and a sum that falls between two of them may be rounded to either."""
    configs = [tiny("vae", member, precision="bf16") for member in range(2)]
    assert stacked(configs, tmp_path) == [None] * 2
    single.run(configs[1], tmp_path / "alone")
    pd.testing.assert_frame_equal(history(tmp_path / "1"), history(tmp_path / "alone"), rtol=0.02, atol=0.02)
    single.run(tiny("vae", 1), tmp_path / "fp32")
    assert history(tmp_path / "1")["loss"][0] != history(tmp_path / "fp32")["loss"][0]


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"model": {"_target_": "test_stacking.forgetful"}}, "dropout"),
        ({"model": {"_target_": "test_stacking.peeking"}}, "torch.vmap cannot take its step"),
        ({"runtime": {"compile": True}}, "runtime.compile=true"),
        ({"model": {"_target_": "test_stacking.normalised"}}, None),
    ],
)
def test_what_cannot_be_stacked(changes: dict[str, Any], obstacle: str | None) -> None:
    found = group.stack_capacity(tiny("vae", **changes))
    assert obstacle == found.obstacle if obstacle is None else obstacle in str(found.obstacle)
    assert (found.most > 1000) == (obstacle is None)


def test_memory_bounds_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "free_bytes", lambda device: 10**6)
    # Two linear layers each way, of 16 to 8 and 8 to some; four copies, and twice what 8 examples leave.
    assert 10 < group.stack_capacity(tiny("vae")).most < 100
    monkeypatch.setattr(group, "free_bytes", lambda device: 1)
    assert group.stack_capacity(tiny("vae")).most == 1


# Resumes


def interrupted(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Sends SIGTERM when the first row of the step is written."""
    append = History.append

    def signalling(rows: History, row: Mapping[str, float | int]) -> None:
        append(rows, row)
        if row["step"] == step:
            signal.raise_signal(signal.SIGTERM)
            monkeypatch.setattr(History, "append", append)

    monkeypatch.setattr(History, "append", signalling)


def test_a_signal_leaves_a_checkpoint_of_each_and_a_resume_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [tiny("factor_vae", member, steps=9) for member in range(3)]
    again = [tiny("factor_vae", member, steps=9, resume="auto") for member in range(3)]
    interrupted(monkeypatch, step=4)
    with pytest.raises(SystemExit) as end:
        stacked(configs, tmp_path / "cut")
    assert end.value.code == 143
    for index in range(3):
        assert last(tmp_path / "cut" / str(index))["step"] == 5
        assert "stopped by a signal at step 5 of 9" in (tmp_path / "cut" / str(index) / "run.log").read_text()
    # The last one goes on by itself.
    assert stacked(again[:2], tmp_path / "cut") == [None, None]
    single.run(again[2], tmp_path / "cut" / "2")
    assert stacked(configs, tmp_path / "whole") == [None, None, None]
    for index in range(3):
        one, two = (tmp_path / name / str(index) for name in ("cut", "whole"))
        pd.testing.assert_frame_equal(history(one), history(two), rtol=1e-4, atol=1e-4)
        assert last(one)["step"] == 9


def test_a_finished_group_is_extended_and_members_stand_at_steps_of_their_own(tmp_path: Path) -> None:
    """The third is new, and is trained by itself until the end."""
    assert stacked([tiny("vae", member, steps=4) for member in range(2)], tmp_path) == [None, None]
    longer = [tiny("vae", member, steps=7, resume="auto") for member in range(3)]
    assert stacked(longer, tmp_path) == [None] * 3
    for index in range(3):
        single.run(tiny("vae", index, steps=7), tmp_path / "alone" / str(index))
        one, two = tmp_path / str(index), tmp_path / "alone" / str(index)
        pd.testing.assert_frame_equal(history(one), history(two), rtol=1e-4, atol=1e-4)
    assert [metrics(tmp_path / str(index))["run"].get("stacked") for index in range(3)] == [2, 2, None]


# Members that end before the others


def test_one_that_diverges_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    configs = [tiny("vae", member, steps=9, lr=lr) for member, lr in enumerate((1e-3, 1e9, 1e-2))]
    first, broken, third = stacked(configs, tmp_path / "together")
    assert (first, third) == (None, None)
    assert isinstance(broken, Diverged)
    with pytest.raises(Diverged) as alone:
        single.run(configs[1], tmp_path / "alone" / "1")
    assert str(broken).replace("together", "alone") == str(alone.value)
    assert f"error: {broken}" in (tmp_path / "together" / "1" / "run.log").read_text()
    for index in (0, 2):
        single.run(configs[index], tmp_path / "alone" / str(index))
        alike(tmp_path / "together" / str(index), tmp_path / "alone" / str(index))
        assert metrics(tmp_path / "together" / str(index))["run"]["stacked"] == 3


def test_of_two_the_one_that_is_left_goes_on_alone(tmp_path: Path) -> None:
    configs = [tiny("vae", member, steps=9, lr=lr) for member, lr in enumerate((1e9, 1e-3))]
    broken, other = stacked(configs, tmp_path / "together")
    assert isinstance(broken, Diverged) and other is None
    single.run(configs[1], tmp_path / "alone")
    alike(tmp_path / "together" / "1", tmp_path / "alone")


def test_a_divergence_is_taken_back_by_one_member_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [tiny("vae", member, steps=9, on_divergence="restart") for member in range(3)]
    with monkeypatch.context() as patch:
        poisoned(patch, seed=1, step=6)
        assert stacked(configs, tmp_path / "together") == [None] * 3
    with monkeypatch.context() as patch:
        poisoned(patch, seed=1, step=6)
        single.run(configs[1], tmp_path / "alone")
    alike(tmp_path / "together" / "1", tmp_path / "alone")
    assert metrics(tmp_path / "together" / "1")["run"]["restarts"] == [{"step": 4, "lr": 5e-4}]
    assert "restarted from step 4" not in (tmp_path / "together" / "0" / "run.log").read_text()


@pytest.mark.parametrize("error", [StorageError("the disk is full"), KeyError("bug")])
def test_what_goes_wrong_with_one_stays_with_it(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = History.append

    def failing(rows: History, row: Mapping[str, float | int]) -> None:
        if rows._path.parent.name == "1" and row["step"] == 6:
            raise error
        append(rows, row)

    monkeypatch.setattr(History, "append", failing)
    outcomes = stacked([tiny("vae", member, steps=7) for member in range(3)], tmp_path)
    assert (outcomes[0], outcomes[2]) == (None, None)
    assert type(outcomes[1]) is type(error)
    if isinstance(error, StorageError):
        assert "the last good checkpoint is" in str(outcomes[1])
    assert [run_folder.inspect(tmp_path / str(index)) for index in range(3)] == ["finished", "resumable", "finished"]


def test_one_that_cannot_be_opened_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "thesis.tex").touch()
    outcomes = stacked([tiny("vae", member) for member in range(3)], tmp_path)
    assert (outcomes[0], outcomes[2]) == (None, None)
    assert "thesis.tex" in str(outcomes[1])


# What is shown


def test_each_log_holds_its_own_lines_and_the_terminal_each_line_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(logging.getLogger("hfvae_runner").handlers)
    stacked([tiny("vae", member) for member in range(3)], tmp_path)
    shown = capsys.readouterr().err
    for index in range(3):
        log = (tmp_path / str(index) / "run.log").read_text()
        assert all(line in shown for line in log.splitlines())
        assert log.count("run folder: ") == log.count("step 0 to 6") == 1
        assert log.endswith(f"run folder: {tmp_path / str(index)}\n")
    assert shown.count("run folder: ") == shown.count("step 0 to 6") == 3
    assert logging.getLogger("hfvae_runner").handlers == before


def test_the_time_is_the_group_s(tmp_path: Path) -> None:
    stacked([tiny("vae", member) for member in range(2)], tmp_path)
    runs = [json.loads((tmp_path / str(index) / "metrics.json").read_text())["run"] for index in range(2)]
    assert runs[0]["stacked"] == runs[1]["stacked"] == 2
    assert runs[0]["wall_seconds"] == pytest.approx(runs[1]["wall_seconds"], abs=0.5)
    rates = [list(History(tmp_path / str(index) / "history.csv").read()["examples_per_second"]) for index in range(2)]
    assert rates[0] == rates[1]
    assert all(rate > 0 for rate in rates[0])
