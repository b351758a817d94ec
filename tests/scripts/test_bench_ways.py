"""What scripts/bench_train.py compares on a GPU, without one."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hydra.core.hydra_config import HydraConfig

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("bench_train")


def test_on_a_gpu_every_way_is_recorded_as_well(script: ModuleType) -> None:
    plain, *ours = script.ways.ways(torch.device("cuda"), compiled=True).values()
    assert (plain.title, plain.overrides) == ("plain loop", None)
    kinds = ["", ", graph", ", compiled", ", compiled, graph"]
    assert [way.title for way in ours] == [
        f"{precision}{kind}" for kind in kinds for precision in ("fp32", "tf32", "bf16")
    ]
    for way in ours:
        assert f"precision={way.precision}" in way.overrides and way.title.startswith(way.precision)
        assert ("runtime.graph=true" in way.overrides) == ("graph" in way.title)
        assert ("runtime.compile=true" in way.overrides) == ("compiled" in way.title)
    assert len(script.ways.ways(torch.device("cuda"), compiled=False)) == 7
    assert not any("graph" in title for title in script.ways.ways(torch.device("cpu"), compiled=False))


def test_a_stack_is_held_against_eager_runs_one_after_another(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run takes 10 ms a step, several eager ones 40, and 20 where they are recorded."""

    def together(configs: Sequence[object]) -> object:
        seeds = [config.seed for config in configs]  # type: ignore[attr-defined]
        assert seeds == list(range(len(configs)))
        graph = configs[0].runtime.graph  # type: ignore[attr-defined]
        return lambda steps: steps * (0.01 if len(configs) == 1 and not graph else 0.02 if graph else 0.04)

    monkeypatch.setattr(script.ways, "together", together)
    overrides = ["dataset=digits", f"batch_size={script._STACKED_BATCH}"]
    lines = script.stacked_lines(8, overrides, "cuda", steps=5, rounds=2)
    HydraConfig.instance().cfg = None
    assert [line.split() for line in lines] == [
        ["8", "runs", "12,800", "2.00", "[2.00,", "2.00]"],
        ["8", "runs,", "graph", "25,600", "4.00", "[4.00,", "4.00]"],
    ]
