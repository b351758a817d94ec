"""scripts/bench_report.py over a few runs."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
from reporting import config, leave, metrics, rows

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("bench_report")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return leave(tmp_path / "template", config(), metrics(), figures=["traversals"])


@pytest.mark.slow
def test_the_table_has_a_line_for_each_number_of_runs(
    bench: ModuleType, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["3", "2", "--run", str(template)]) == 0
    machine, head, *found = capsys.readouterr().out.splitlines()
    assert "cores" in machine
    assert head.split()[0] == "runs"
    for runs, line in zip(("3", "2"), found, strict=True):
        first, *costs = line.split()
        assert first == runs
        assert len(costs) == 5 and all(float(cost) > 0 for cost in costs[:4])


@pytest.mark.parametrize("search", [pytest.param(False, marks=pytest.mark.slow), True])
def test_made_up_runs_are_a_report_of_completed_ones(
    bench: ModuleType, template: Path, tmp_path: Path, search: bool
) -> None:
    home = tmp_path / "made" / "study"
    bench.make(home, 5, template, search)
    bench.reported(home)
    found = rows(home)
    assert [row["status"] for row in found] == ["completed"] * 5
    assert len({row["test/elbo"] for row in found}) == 5
    assert all(re.fullmatch(r"-10\d\.\d+|-9\d\.\d+|-11\d\.\d+", row["test/elbo"]) for row in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["0"], "0 runs cannot be reported on"), (["1", "--run", "nowhere"], "expected a completed run with figures")],
)
def test_what_cannot_be_measured_is_one_line(
    bench: ModuleType, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
