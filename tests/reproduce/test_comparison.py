"""Verdicts on made-up runs, whose values are known."""

from pathlib import Path

import pytest

from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.report.runs import COMPLETED, Run
from hfvae_runner.reproduce.comparison import claim_of, row_of, share_of, transfer_of, trend_of
from hfvae_runner.reproduce.figures import figure
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
    Share,
    Study,
    Sweep,
    Transfer,
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


@pytest.mark.parametrize(("better", "best"), [("higher", (0.5 + 0.9 + 0.9) / 3), ("lower", (0.1 + 0.1 + 0.5) / 3)])
def test_the_best_of_k_runs_in_place_of_the_mean(better: Better, best: float) -> None:
    """The pairs of 0.1, 0.5 and 0.9 have 0.5, 0.9 and 0.9 as their larger value, and 0.1, 0.1 and 0.5 as the other."""
    row = Row("w", Selection("one"), ACCURACY, better, Published(0.9, "x"), best_of=2)
    runs = [run(value, seed) for seed, value in enumerate((0.5, 0.9, 0.1))]
    result = row_of(row, found(one=runs))
    ours = result["ours"]
    assert isinstance(ours, dict)
    assert ours["value"] == pytest.approx(best) and ours["low"] is None
    assert result["verdict"] == "no interval for the best of several runs"
    few = row_of(row, found(one=runs[:1]))
    assert few["ours"] is None and few["verdict"] == "fewer than 2 runs"
    assert row_of(row, found(one=[]))["verdict"] == "not run"


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
        refuse_other_commits(runs.commits(), "a", Path("x"), "out")
    refuse_other_commits(found(one=[run(0.5)]).commits(), "a", Path("x"), "out")


BOTH = Selection(("one", "two"))


@pytest.mark.parametrize(("title", "shown"), [(None, "test.kl"), ("KL, nats", "KL, nats")])
def test_the_title_of_a_scatter_s_axis(title: str | None, shown: str) -> None:
    groups = (Group("g", Selection("one")),)
    plot = Plot("scatter", "c", groups, x=Quantity("test.kl"), x_title=title, y={"accuracy": ACCURACY})
    study = Study("t", "p", "s", (), {}, plot, {"one": Sweep((), {"cpu": ()})})
    drawn = figure(Found(study, "cpu", {"one": [run(0.5, 0, kl=1.0), run(0.6, 1, kl=2.0)]}))
    assert drawn is not None and drawn.axes[0].get_xlabel() == shown


def test_a_selection_of_two_sweeps_is_the_runs_of_both() -> None:
    runs = found(one=[run(0.5, 1)], two=[run(0.7, 0)])
    assert [each.texts["beta"] for each in runs.completed(BOTH)] == ["1", "1"]
    assert row_of(Row("w", BOTH, ACCURACY), runs)["ours"] == {
        "value": 0.6, "low": None, "high": None, "values": [0.7, 0.5], "seeds": ["0", "1"],
    }  # fmt: skip


def test_a_transfer_compares_means_over_seeds_of_the_settings_that_both_have() -> None:
    transfer = Transfer("w", "x", ACCURACY, Selection("one"), Selection("two"), ("beta",))
    first = [run(beta + error, seed, beta) for beta in (1.0, 2, 3, 4, 5) for seed, error in enumerate((-3, 3))]
    second = [run(beta**2, 0, beta) for beta in (2.0, 3, 4, 5, 6)]
    result = transfer_of(transfer, found(one=first, two=second))
    assert result["values"] == [[2, 4], [3, 9], [4, 16], [5, 25]]
    assert result["runs"] == 4 and result["verdict"] == "holds"
    against = Transfer("w", "x", ACCURACY, Selection("one"), Selection("two"), ("beta",), Quantity("test.other"))
    second = [run(0.0, 0, beta, other=-beta) for beta in (1.0, 2, 3, 4, 5)]
    assert transfer_of(against, found(one=first, two=second))["verdict"] == "contradicted"
    assert transfer_of(transfer, found(one=first, two=[]))["verdict"] == "not run"


def test_shares_of_the_variance_by_level() -> None:
    runs = found(
        one=[run(beta, seed, beta) for beta in (1.0, 3.0) for seed in range(3)],
        two=[run(10 + beta, seed, beta, objective=1) for beta in (1.0, 3.0) for seed in range(3)],
    )
    share = Share("w", BOTH, ACCURACY, (("train.betas",), ("beta",)))
    result = share_of(share, runs)
    # No run has the first setting, so that all are one group; beta leaves the distance of the two sweeps.
    (none, by_beta) = result["levels"]  # type: ignore[misc]
    assert result["runs"] == 12 and none == {"by": ["train.betas"], "groups": 1, "share": 0.0}
    within, whole = 2 * 6 * 25 / 10, (12 * 25 + 12) / 11
    assert by_beta["groups"] == 2 and by_beta["share"] == pytest.approx(1 - within / whole)
