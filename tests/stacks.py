"""Runs of tiny networks for the tests of several at once: their configs, and how they are run together."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.runs import group
from hfvae_runner.training.batches import Batch, Batches

SECTIONS: dict[str, dict[str, Any]] = {
    "train": {"progress": False, "log_every": 2},
    "metrics": {"figures": False, "exact_limit": 1e4, "batch_size": 24},
    "checkpoints": {"every": 4},  # to the disk, which takes longer than the steps between them
}


@cache
def composed(*overrides: str) -> Mapping[str, Any]:
    return resolved(*overrides, "metrics=[active_units]", "latents=4", "batch_size=8", "device=cpu", "threads=1")


def tiny(name: str, member: int = 0, /, *, steps: int = 6, lr: float | None = None, **changes: Any) -> Config:
    """The config of a run; those of several members differ in seed, learning rate, weights and one schedule.

    Args:
        changes: of a section, such as ``prior={"learned": True}``, or of a value.
    """
    base = composed(f"objective={name}")
    averages = "averaging" in base["objective"]
    spec: dict[str, Any] = {
        **base,
        "model": {"_target_": "tiny_parts.networks"},
        "dataset": {"_target_": "tiny_parts.unit_interval", "pairs": {"column": "label"} if averages else None},
        "choices": {**base["choices"], "dataset": "unit_interval"},
        "seed": member,
        "lr": (1e-3 if member < 2 else 3e-3) if lr is None else lr,
        "steps": steps,
    }
    terms = {key: weighted(value, member) for key, value in base["objective"]["terms"].items()}
    if "critic_total_correlation" in terms:
        terms["critic_total_correlation"]["hidden"] = 8
    spec["objective"] = {**base["objective"], "terms": terms}
    for section, values in [*SECTIONS.items(), *changes.items()]:
        spec[section] = {**spec[section], **values} if isinstance(values, dict) else values
    return schema.parse(spec)


def weighted(term: Any, member: int) -> Any:
    """A term with a weight of the member's own; the last member's moves."""
    spelt_out = isinstance(term, dict) and len(term.keys() & {"term", "weight", "blocks", "method", "hidden"}) > 0
    weight = term.get("weight", 1) if spelt_out else term
    if isinstance(weight, int | float):
        weight = weight * (1 + member / 4) if member < 2 else {"linear": [weight, 2 * weight, 5]}
    return {**term, "weight": weight} if spelt_out else weight


def stacked(configs: Sequence[Config], folder: Path) -> list[Exception | None]:
    """Runs them together, each in a folder named after its number; what ended each."""
    outcomes: dict[int, Exception | None] = {}

    def ended(index: int, error: Exception | None) -> None:
        assert index not in outcomes
        outcomes[index] = error

    group.run_stacked([(config, folder / str(index)) for index, config in enumerate(configs)], ended)
    return [outcomes[index] for index in range(len(configs))]


def poisoned(monkeypatch: pytest.MonkeyPatch, seed: int, step: int) -> None:
    """The batch of one member at one step is not finite, the first time that it is asked for."""
    at, served = Batches.at, []

    def poison(batches: Batches, number: int) -> Batch:
        batch = at(batches, number)
        if (batches.seed, number) != (seed, step) or served:
            return batch._replace(x=batch.x.float() / 255)
        served.append(number)
        return batch._replace(x=torch.full_like(batch.x, math.nan, dtype=torch.float32))

    monkeypatch.setattr(Batches, "at", poison)
