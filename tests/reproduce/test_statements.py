"""Statements and their verdicts, and a study that only computes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from hfvae_runner.errors import ConfigError
from hfvae_runner.reproduce import statements
from hfvae_runner.reproduce.command import main
from hfvae_runner.reproduce.computations import _factor_analysis, _orientation
from hfvae_runner.reproduce.statements import Computed, Statement, compute, statement_of
from hfvae_runner.reproduce.study import SIZES, load

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")


@pytest.mark.parametrize(
    ("left", "right", "relation", "expected"),
    [
        ([1, 2], [1, 2.05], "equal", "holds"),
        ([1, 2], [1.2, 2], "equal", "contradicted"),
        ([1, 2], [0.8, 1.5], "greater", "holds"),
        ([1, 2], [0.95, 1.5], "greater", "contradicted"),
        ([1, float("nan")], [1, 2], "equal", "contradicted"),
        ([3, float("inf")], [1, 2], "greater", "contradicted"),
    ],
)
def test_the_rule(left: list[float], right: list[float], relation: str, expected: str) -> None:
    decided = statement_of(Statement("w", "x", left, right, 0.1, relation))  # type: ignore[arg-type]
    assert decided["verdict"] == expected
    json.dumps(decided, allow_nan=False)


def test_the_sides_shown_are_those_nearest_to_a_contradiction() -> None:
    decided = statement_of(Statement("w", "x", [1, 5, 2], [0, 4.5, 0], 0.1, "greater"))
    assert (decided["left"], decided["right"], decided["difference"], decided["cases"]) == (5, 4.5, 0.5, 3)
    with pytest.raises(ValueError, match="as many on each side"):
        Statement("w", "x", [1], [1, 2], 0.1)


CONTRADICTED = {"β = 1 keeps three components: the shortest one's share of the longest > 0.05"}
"""What the paper says and the study's findings deny."""


def assert_holds_and_could_fail(statements: Sequence[Statement]) -> None:
    for statement in statements:
        expected = "contradicted" if statement.what in CONTRADICTED else "holds"
        assert statement_of(statement)["verdict"] == expected, statement.what
        if expected == "contradicted":
            continue
        if statement.relation == "greater":
            swapped = Statement("", "", statement.right, statement.left, statement.tolerance, "greater")
            assert statement_of(swapped)["verdict"] == "contradicted", statement.what
        else:
            # The sides depend on the case, so that one case's value is no other's.
            turned = Statement("", "", statement.left, np.roll(statement.right, 1).tolist(), statement.tolerance)
            assert statement_of(turned)["verdict"] == "contradicted", statement.what


def test_the_identities() -> None:
    computed = compute("identities")
    assert computed.figure is not None
    assert_holds_and_could_fail(computed.statements)


def test_the_toys_that_take_no_time() -> None:
    assert_holds_and_could_fail([*_factor_analysis.statements(), *_orientation.statements()])


@pytest.mark.slow
def test_all_toys() -> None:
    computed = compute("isa_vae_toys")
    assert computed.figure is not None
    assert_holds_and_could_fail(computed.statements)


def test_a_study_that_only_computes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = Statement("a | b", "Eq. 1", [1.0], [1.5], 0.1)
    picture = Figure()
    monkeypatch.setattr(statements, "compute", lambda name: Computed((one,), picture))
    assert load("identities")[1].sizes() == list(SIZES)
    assert main(["identities", "size=cpu", "publish=results"]) == 0
    printed = capsys.readouterr().out
    assert "computed without runs" in printed
    assert "| a \\| b | Eq. 1 | 1 | 1.5 | 1 | 5.0e-01 | ≤ 1e-01 | contradicted |" in printed
    assert "A claim between two methods" not in printed
    assert Path("results/identities/figure.png").is_file()
    content = json.loads(Path("results/identities/study.json").read_text())
    assert content["runs"] == {"completed": 0, "started": 0, "asked": 0} and len(content["commits"]) == 1
    overview = Path("results/README.md").read_text()
    assert "| computed |" in overview and "1 contradicted" in overview


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"computation": "identitis"}, "did you mean 'identities'?"),
        ({"computation": "_priors"}, "expected one of identities"),
        ({"computation": None}, "neither sweeps nor a computation"),
    ],
)
def test_a_study_without_a_computation(changes: dict[str, object], message: str) -> None:
    content = {"title": "t", "paper": "p", "shows": "s", "data": [], "differs": {}, **changes}
    Path("mine.yaml").write_text(yaml.safe_dump({**content, "figure": {"kind": "computed", "caption": "c"}}))
    with pytest.raises(ConfigError, match=r"mine\.yaml: ") as refused:
        load("mine.yaml")
    assert message in str(refused.value)
