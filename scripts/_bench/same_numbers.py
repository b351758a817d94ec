"""Compares the first step of each objective on two devices, with the same parameters, batch and noise.

    python -m scripts._bench.same_numbers DEVICE OBJECTIVE [OBJECTIVE ...]

Prints a line for each objective with the relative difference of the loss to the CPU's, and exits with 1 where one is
larger than the tolerance of float32.
"""

import sys
from collections.abc import Sequence

import torch
from torch.utils._pytree import tree_map_only

from hfvae_runner.config import schema
from hfvae_runner.launch.composition import composed
from hfvae_runner.runs import assembly

TOLERANCE = 1e-4


def loss_on(device: str, overrides: Sequence[str]) -> float:
    """Return the first step's loss, in nats per example; its noise is drawn on the CPU."""
    run = assembly.assemble(schema.parse(composed([*overrides, f"device={device}"])))
    batch = run.batches.at(0)
    generator = torch.Generator().manual_seed(0)
    noise = run.model.latents.noise(len(batch.x), generator)
    own_noise = run.objective.noise(len(batch.x), generator)
    noise, own_noise = tree_map_only(torch.Tensor, lambda tensor: tensor.to(run.device), (noise, own_noise))
    loss, _ = run.loss(*batch, noise, own_noise, run.objective.knobs(0, run.device))
    return float(loss.detach())


def main(arguments: Sequence[str]) -> int:
    """Compare the objectives; return 1 if one differs."""
    device, *objectives = arguments
    worst = 0.0
    for name in objectives:
        pairs = ["dataset.pairs={column: label}"] if name.startswith("ada_") else []
        overrides = [f"objective={name}", *pairs]
        here, there = loss_on("cpu", overrides), loss_on(device, overrides)
        difference = abs(there - here) / max(1.0, abs(here))
        worst = max(worst, difference)
        print(f"{name}: cpu {here:.6f}, {device} {there:.6f}, relative difference {difference:.1e}")
    print(f"largest {worst:.1e}, at most {TOLERANCE:.0e}")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
