"""Runs whose KL is controlled: what history.csv says is what a controller in plain Python makes of it."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from comparing import history, last, same_to_the_bit
from launching import refused, resolved
from stacks import poisoned, tiny

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.runs import single

pytestmark = pytest.mark.usefixtures("one_thread")

DIGITS = ("device=cpu", "threads=1", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false")
DIGITS += ("metrics=[active_units]", "metrics.exact_limit=1e6", "train.log_every=1", "lr=3e-3", "prior=normal")
GAINS: dict[str, Any] = {"k_p": 0.5, "k_i": 0.05, "least": 0.2, "window": 2}
TERMS = {"reconstruction": 1, "kl": {"pi_control": {"target": {"linear": [0.1, 1, 6]}, **GAINS}}}


@cache
def config(*overrides: str) -> Config:
    return schema.parse(resolved(*DIGITS, *overrides))


def small(**changes: Any) -> Config:
    base = dict(tiny("control_vae").resolved["objective"])  # type: ignore[call-overload]
    return tiny("control_vae", train={"log_every": 1, "progress": False}, objective={**base, "terms": TERMS}, **changes)


def replayed(rows: pd.DataFrame) -> tuple[list[float], float]:
    """The weights that follow from the rows' KL and set points, one row a step, and the integral after the last."""
    integral, uncut = 0.0, GAINS["least"]
    weights, recent = [], [0.0] * GAINS["window"]
    for value, target in zip(rows["term/kl"], rows["target/kl"], strict=True):
        recent = [*recent[1:], value]
        error = target - sum(recent) / len(recent)
        if uncut >= GAINS["least"] or error < 0:
            integral -= GAINS["k_i"] * error
        uncut = GAINS["k_p"] / (1 + math.exp(error)) + integral + GAINS["least"]
        weights.append(max(uncut, GAINS["least"]))
    return weights, integral


def assert_controlled(folder: Path, steps: int) -> None:
    rows = history(folder)
    assert list(rows["step"]) == list(range(1, steps + 1))
    weights, integral = replayed(rows)
    assert list(rows["weight/kl"]) == pytest.approx(weights, rel=1e-4)
    assert len(set(weights)) == steps
    assert last(folder)["objective"]["controllers.0.integral"].item() == pytest.approx(integral, rel=1e-4)


def test_the_history_is_the_controller_s(tmp_path: Path) -> None:
    single.run(small(steps=9), tmp_path)
    assert_controlled(tmp_path, 9)
    rows = history(tmp_path)
    terms = rows["weight/kl"] * rows["term/kl"] - rows["term/reconstruction"]
    assert list(rows["loss"]) == pytest.approx(list(terms), rel=1e-5)


def test_a_run_that_is_resumed_at_every_step_is_the_run(tmp_path: Path) -> None:
    for steps in range(1, 8):
        single.run(small(steps=steps, resume="auto"), tmp_path / "extended")
    single.run(small(steps=7), tmp_path / "whole")
    same_to_the_bit(tmp_path / "extended", tmp_path / "whole")


def test_a_restart_takes_the_controller_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 7 diverges, and the run is restored from step 4."""
    poisoned(monkeypatch, seed=0, step=6)
    single.run(small(steps=9, on_divergence="restart"), tmp_path)
    assert [each["step"] for each in last(tmp_path)["restarts"]] == [4]
    assert_controlled(tmp_path, 9)


@pytest.mark.slow
def test_the_kl_reaches_its_set_point(tmp_path: Path) -> None:
    """On the digits, above and below what the plain bound has, whose weight is 1."""
    divergence, weight = {}, {}
    for target in (2, 6):
        gains = ("k_p=0.1", "k_i=0.01", "beta_min=0")
        single.run(config("objective=control_vae", f"set_point={target}", *gains, "steps=400"), tmp_path / str(target))
        rows = history(tmp_path / str(target)).tail(100)
        divergence[target], weight[target] = rows["kl"].mean(), rows["weight/kl"].mean()
    assert divergence == {target: pytest.approx(target, rel=0.2) for target in divergence}
    assert weight[6] < 1 < weight[2]


def test_any_penalty_may_be_controlled(tmp_path: Path) -> None:
    """By its objective's knob: the total correlation of Kim & Chen's row."""
    knob = "beta={pi_control: {target: 1, k_i: 0.1, k_p: 1}}"
    single.run(config("objective=kim_chen_table1", knob, "steps=3"), tmp_path)
    rows = history(tmp_path)
    assert len(set(rows["weight/total_correlation"])) == 3
    assert set(rows["target/total_correlation"]) == {1}


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective=beta_tcvae", "beta={pi_control: {target: 3}}"], "only for the whole weight of a term"),
        (["objective=control_vae", "k_i=-1"], "objective.terms.kl.pi_control.k_i=-1: expected a number from 0 on"),
        (["objective=beta_vae", "beta={pi_control: {taget: 3}}"], "did you mean 'target'?"),
        (["objective.terms.reconstruction={pi_control: {target: -9}}"], "reconstruction is a reward"),
    ],
)
def test_what_makes_no_sense_is_refused(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = refused(capsys, "image_size=8", "device=cpu", f"hydra.run.dir={tmp_path / 'run'}", *overrides)
    assert message in line
    assert not (tmp_path / "run").exists()
