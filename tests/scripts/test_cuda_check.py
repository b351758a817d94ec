"""scripts/cuda_check.py: a failure stops no other check, and the script itself runs where there is no GPU."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from scripting import SCRIPTS, loaded


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded("cuda_check", monkeypatch)


def test_a_failure_stops_no_other_check(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(place: object) -> str:
        place.run("breaks", [sys.executable, "-c", "print('a | b'); raise SystemExit(3)"], 20)  # type: ignore[attr-defined]
        return "never"

    def hangs(place: object) -> str:
        place.run("hangs", [sys.executable, "-c", "import time; time.sleep(60)"], 0.5)  # type: ignore[attr-defined]
        return "never"

    def works(place: object) -> str:
        return "done"

    monkeypatch.setattr(script, "PARTS", {"right": (breaks, hangs, works), "fast": ()})
    assert script.main(["--device", "cpu", "--out", str(tmp_path / "out")]) == 1
    rows = (tmp_path / "out" / "summary.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [["| breaks", "FAILED"], ["| hangs", "FAILED"], ["| works", "ok"]]
    assert "exit code 3: a / b" in rows[0] and "longer than 0 s" in rows[1]
    assert "| works | ok |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_on_this_machine_s_cpu(script: ModuleType, tmp_path: Path) -> None:
    assert script.main(["--device", "cpu", "--only", "stacked", "--out", str(tmp_path / "out")]) == 0
    assert "| stacked | ok |" in (tmp_path / "out" / "summary.md").read_text()


def test_the_loss_is_the_cpu_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from _bench.same_numbers import main

    assert main(["cpu", "vae", "factor_vae"]) == 0


@pytest.mark.parametrize("arguments", [["--only", "stackt"], ["--parts", "rigth"], ["--device", "tpu"]])
def test_refusals(script: ModuleType, arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        script.main([*arguments, "--out", str(tmp_path / "out")])
    assert end.value.code == 2 and not (tmp_path / "out").exists()


def test_the_largest_difference_is_relative(script: ModuleType) -> None:
    assert script._largest_difference({"a": 100.0, "b": 0.5}, {"a": 101.0, "b": 0.52}) == pytest.approx(0.02)
    assert script._largest_difference({"a": 1.0}, {"b": 1.0}) == float("inf")
    assert script._numbers({"a": {"b": 1, "c": None}, "d": True, "e": 2.5}) == {"/a/b": 1.0, "/e": 2.5}
