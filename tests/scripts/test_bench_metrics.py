"""scripts/bench_metrics.py at a tiny size, and its plain implementations against the metrics."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module that its own processes can import, too."""
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr(sys, "argv", ["bench_metrics.py"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the script sets
    return importlib.import_module("bench_metrics")


@pytest.mark.slow
def test_the_table_has_a_line_for_each_metric_and_size(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--metrics", "mig_binned", "--sizes", "200", "--plain", "0"])
    assert bench.main() == 0
    machine, _, line = capsys.readouterr().out.splitlines()
    assert "1 threads" in machine and "torch" in machine
    name, rows, *costs, value = line.split()
    assert (name, rows) == ("mig_binned", "200")
    assert len(costs) == 3 and 0 < float(value) <= 1


def test_an_unknown_metric_is_named(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--metrics", "migg"])
    assert bench.main() == 2
    assert "no metric migg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("mig", {"samples": 10_000, "repeats": 4}, 0.02),
        ("mig_exact", {}, 1e-4),
        ("mig_binned", {"samples": 300, "bins": 20}, 1e-9),
        ("mig_blocks", {"samples": 400}, 0.1),
        ("factor_vae_score", {"votes": 300, "test_votes": 300, "rows": 30, "least_std": 0.05}, 0.15),
        ("beta_vae_score", {"votes": 200, "test_votes": 200, "pairs": 20}, 0.15),
    ],
)
def test_plain_implementations_say_what_the_metrics_say(
    bench: ModuleType, name: str, options: dict[str, Any], error: float
) -> None:
    subject = bench.subject_of(400)
    ours = bench.metric_of(bench.options_of_metrics()[name])(subject, **options)
    plain = bench.PLAIN[name](subject, **options)
    assert 0.1 < ours[name] <= 1
    assert plain[name] == pytest.approx(ours[name], abs=error)
