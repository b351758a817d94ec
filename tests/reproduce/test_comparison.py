"""Verdicts on made-up runs, whose values are known."""

from pathlib import Path

import pytest

from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.report.runs import COMPLETED, Run
from hfvae_runner.reproduce.comparison import claim_of, row_of, trend_of
from hfvae_runner.reproduce.runs import Found, refuse_other_commits, value_of
from hfvae_runner.reproduce.study import (
    Better,
    Claim,
    Group,
    Plot,
    Published,
    Quantity,
    Row,
    Selection,
    Study,
    Sweep,
    Trend,
)

CHOICES = {"dataset": "digits", "model": "m", "likelihood": "l", "prior": "p", "objective": "o"}
ACCURACY = Quantity("test.accuracy")


def run(accuracy: float | None, seed: int = 0, beta: float = 1.0, commit: str | None = "a", **more: object) -> Run:
    metrics = {
        "run": {"versions": {"commit": commit}, "wall_seconds": 1.0},
        "test": {"accuracy": accuracy, **more},
    }
    config = {"choices": CHOICES, "seed": seed, "beta": beta}
    return Run(Path(f"run{seed}"), f"run{seed}", COMPLETED, "", config, metrics, "")


def found(differs: str | None = None, **sweeps: list[Run]) -> Found:
    plot = Plot("boxes", "c", (Group("g", Selection("one")),))
    by_name = {name: Sweep((), {"cpu": ()}) for name in sweeps}
    study = Study("t", "p", "s", (), {"cpu": differs} if differs else {}, plot, by_name)
    return Found(study, "cpu", sweeps)


def verdict(values: list[float], paper: Published | None, better: Better, differs: str | None = None) -> object:
    runs = [run(value, seed) for seed, value in enumerate(values)]
    return row_of(Row("w", Selection("one"), ACCURACY, better, paper), found(differs, one=runs))["verdict"]


@pytest.mark.parametrize(
    ("values", "paper", "better", "expected"),
    [
        ([0.8, 0.9, 1.0], Published(0.9, "x"), "higher", "agrees"),
        ([0.8, 0.9, 1.0], Published(0.5, "x"), "higher", "better"),
        ([0.8, 0.9, 1.0], Published(0.5, "x"), "lower", "worse"),
        ([0.8, 0.9, 1.0], Published(0.5, "x"), "neither", "differs"),
        ([0.2, 0.3, 0.3], Published(0.5, "x"), "higher", "worse"),
        # Student's interval of ten runs reaches from 0.36 to 0.64.
        ([0.62, 0.63, 0.62], Published(0.5, "x", 0.2, 10), "higher", "agrees"),
        ([0.65, 0.66, 0.66], Published(0.5, "x", 0.2, 10), "higher", "better"),
        ([0.8, 0.9], Published(0.5, "x"), "higher", "too few runs for an interval"),
        ([], Published(0.5, "x"), "higher", "not run"),
        ([0.8, 0.9], None, "higher", "no number in the paper"),
    ],
)
def test_the_rule_for_a_row(values: list[float], paper: Published | None, better: Better, expected: str) -> None:
    assert verdict(values, paper, better) == expected


def test_a_number_that_the_runs_do_not_have() -> None:
    assert (
        row_of(Row("w", Selection("one"), ACCURACY), found(one=[run(None)]))["verdict"] == "not defined in these runs"
    )


def test_other_conditions_are_said() -> None:
    assert verdict([0.8, 0.9, 0.8], Published(0.5, "x"), "higher", "smaller images") == "other conditions (better)"
    assert verdict([], Published(0.5, "x"), "higher", "smaller images") == "not run"


def test_a_row_takes_the_runs_of_its_selection_by_seed() -> None:
    runs = [run(0.1, 2), run(0.3, 10), run(0.2, 1), run(0.9, 3, beta=4), run(None, 4)]
    row = row_of(Row("w", Selection("one", {"beta": 1}), ACCURACY), found(one=runs))
    ours = row["ours"]
    assert isinstance(ours, dict)
    assert ours["values"] == [0.2, 0.1, 0.3] and ours["value"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("method", "than", "better", "expected"),
    [
        ([5, 6, 7, 8], [1, 2, 3, 4], "higher", "holds"),
        ([5, 6, 7, 8], [1, 2, 3, 4], "lower", "contradicted"),
        ([1, 2, 7, 8], [3, 4, 5, 6], "higher", "undecided"),
        ([5, 6, 7], [1, 2, 3], "higher", "undecided"),
        ([], [1, 2, 3, 4], "higher", "not run"),
    ],
)
def test_the_rule_for_a_claim(method: list[float], than: list[float], better: str, expected: str) -> None:
    runs = {"one": [run(v, s) for s, v in enumerate(method)], "two": [run(v, s) for s, v in enumerate(than)]}
    claim = Claim("w", "x", ACCURACY, better, Selection("one"), Selection("two"))  # type: ignore[arg-type]
    assert claim_of(claim, found(**runs))["verdict"] == expected


@pytest.mark.parametrize(("sign", "expected"), [("positive", "holds"), ("negative", "contradicted")])
def test_the_rule_for_a_trend(sign: str, expected: str) -> None:
    runs = [run(0.1 * seed, seed, beta=seed) for seed in range(8)]
    trend = Trend("w", "x", Selection("one"), "beta", ACCURACY, sign)  # type: ignore[arg-type]
    assert trend_of(trend, found(one=runs))["verdict"] == expected


def test_a_trend_over_equal_values_is_undecided() -> None:
    trend = Trend("w", "x", Selection("one"), "beta", ACCURACY, "positive")
    assert trend_of(trend, found(one=[run(0.5, seed, beta=seed) for seed in range(8)]))["verdict"] == "undecided"
    assert trend_of(trend, found(one=[]))["verdict"] == "not run"


def test_quantities_of_several_numbers() -> None:
    one = run(0.5, kl={"a": 1.0, "b": 3.0, "c": 0.0}, listed=[2, 1], nothing={})
    values = {
        take: value_of(one, Quantity("test.kl", take, above=0.5))  # type: ignore[arg-type]
        for take in ("max", "mean", "sum", "count")
    }
    assert values == {"max": 3.0, "mean": pytest.approx(4 / 3), "sum": 4.0, "count": 2.0}
    assert value_of(one, Quantity("test.kl", "mean", top=2)) == 2.0
    assert value_of(one, Quantity("test.listed", "max")) == 2.0
    assert value_of(one, Quantity("test.kl.b")) == 3.0
    assert value_of(one, Quantity("test.missing")) is None
    assert value_of(one, Quantity("test.nothing", "max")) is None
    with pytest.raises(ConfigError, match=r"test\.kl is .*expected a number"):
        value_of(one, Quantity("test.kl"))
    with pytest.raises(ConfigError, match=r"test\.accuracy is 0\.5; expected several numbers"):
        value_of(one, Quantity("test.accuracy", "max"))


def test_runs_of_another_commit_are_refused() -> None:
    runs = found(one=[run(0.5, 0), run(0.5, 1, commit="b"), run(0.5, 2, commit=None)])
    assert runs.commits() == {"a": 1, "b": 1, "not recorded": 1}
    with pytest.raises(DataError, match=r"b \(1\), not recorded \(1\); this is a; expected .*commits=any"):
        refuse_other_commits(runs, "a", Path("x"))
    refuse_other_commits(found(one=[run(0.5)]), "a", Path("x"))
