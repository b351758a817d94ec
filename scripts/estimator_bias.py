"""Shows how far the estimators of the aggregate posterior are from the exact one, on made-up posteriors.

    python scripts/estimator_bias.py [--out FIGURE.png]

N = 4,096 posteriors with five correlated factors stand for an encoder: means from a normal distribution with
correlation 0.6 between neighbouring factors, the same scale for all. The exact mutual information I(x; z) and total
correlation take the mixture of all N posteriors at one sample of each. Then random batches of B examples estimate both,
as an objective does in training, and the mean over the batches is printed with its standard deviation. Everything is in
nats per example; a scale of 0.1 is a sharp encoder, one of 0.5 a blurred one. ``mws`` is shown less its constant shift,
log N in I(x; z) and (F − 1)·log N in the total correlation. Takes half a minute on one core.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from hfvae_runner.config.names import Estimator
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.aggregate import Aggregate
from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import StandardNormal

EXAMPLES, FACTORS, CORRELATION = 4096, 5, 0.6
SCALES = (0.1, 0.5)
BATCHES = (32, 128, 512, 2048)
REPEATS = 50
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
SHIFT = torch.tensor([math.log(EXAMPLES), (FACTORS - 1) * math.log(EXAMPLES)])
"""Of ``mws``, whose weights sum to 1/N, in I(x; z) and in the total correlation."""


class Information(NamedTuple):
    """Mutual information and total correlation, in nats per example."""

    mutual_information: float
    total_correlation: float


class Row(NamedTuple):
    """One estimator at one batch size: mean and standard deviation over the batches."""

    scale: float
    estimator: str
    batch: int
    mean: Information
    deviation: Information


def posteriors(scale: float) -> tuple[Latents, Tensor, Tensor]:
    """Return latents, N posteriors [N, 2F] (means, then log scales), and a sample of each [N, F], by a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    latents = Latents([StandardNormal(NormalBlock("z", FACTORS))])
    distance = (torch.arange(FACTORS)[:, None] - torch.arange(FACTORS)).abs()
    root = torch.linalg.cholesky(CORRELATION**distance)
    mean = torch.randn(EXAMPLES, FACTORS, generator=generator) @ root.T
    parameters = torch.cat([mean, torch.full_like(mean, scale).log()], dim=1)
    return latents, parameters, mean + scale * torch.randn(mean.shape, generator=generator)


def information(latents: Latents, parameters: Tensor, sample: Tensor, mixture: Aggregate) -> Information:
    """Return E[log q(z|x) − log q(z)] and E[log q(z) − Σ_d log q(z_d)] over the samples."""
    blocks = [0]
    conditional = latents.blocks[0].log_prob(parameters, sample).sum(1)
    joint, factors = mixture.log_prob("joint", blocks), mixture.log_prob("factor", blocks).sum(1)
    return Information((conditional - joint).mean().item(), (joint - factors).mean().item())


def exact(latents: Latents, parameters: Tensor, sample: Tensor) -> Information:
    """Return both with q(z) as the mixture of all N posteriors: a batch of the whole data set is exact."""
    return information(latents, parameters, sample, _estimate(latents, parameters, sample, "stratified"))


def estimated(latents: Latents, parameters: Tensor, sample: Tensor, estimator: Estimator, batch: int) -> Tensor:
    """Return both as estimated from random batches, [REPEATS, 2]."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(REPEATS):
        rows = torch.randperm(EXAMPLES, generator=generator)[:batch]
        own = parameters[rows], sample[rows]
        found.append(information(latents, *own, _estimate(latents, *own, estimator)))
    return torch.tensor(found) - (SHIFT if estimator == "mws" else 0)


def _estimate(latents: Latents, parameters: Tensor, sample: Tensor, estimator: Estimator) -> Aggregate:
    return aggregate.from_batch(latents, [parameters], [sample], estimator=estimator, n_data=EXAMPLES)


def rows() -> tuple[dict[float, Information], list[Row]]:
    """Return the exact values by scale, and a row for each scale, estimator and batch size."""
    truth, table = {}, []
    for scale in SCALES:
        made = posteriors(scale)
        truth[scale] = exact(*made)
        for estimator in ESTIMATORS:
            for batch in BATCHES:
                found = estimated(*made, estimator, batch)
                mean, deviation = (Information(*each.tolist()) for each in (found.mean(0), found.std(0)))
                table.append(Row(scale, estimator, batch, mean, deviation))
    return truth, table


def draw(path: Path, truth: dict[float, Information], table: Sequence[Row]) -> None:
    """Save the figure: each estimate against the batch size, with the exact value as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    panels = figure.subplots(len(SCALES), 2, sharex=True)
    for line, scale in enumerate(SCALES):
        for column, name in enumerate(Information._fields):
            panel = panels[line, column]
            panel.axhline(truth[scale][column], color="black", linewidth=1, label="exact")
            for estimator, marker in zip(ESTIMATORS, "os^", strict=True):
                own = [row for row in table if (row.scale, row.estimator) == (scale, estimator)]
                label = f"{estimator}, less its shift" if estimator == "mws" else estimator
                means, bars = [row.mean[column] for row in own], [row.deviation[column] for row in own]
                panel.errorbar([row.batch for row in own], means, bars, marker=marker, capsize=3, label=label)
            panel.set(xscale="log", title=f"{name.replace('_', ' ')}, scale {scale}", ylabel="nats")
            panel.set_xticks(BATCHES, [str(batch) for batch in BATCHES], minor=False)
            panel.minorticks_off()
            if line == len(SCALES) - 1:
                panel.set_xlabel("batch size B")
    panels[0, 0].legend()
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown, and save the figure where one is asked for."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, metavar="FIGURE.png", help="also draw the table")
    options = parser.parse_args(arguments)
    truth, table = rows()
    print("| scale | estimator | B | I(x; z) | total correlation |\n|---|---|---|---|---|")
    for scale in SCALES:
        print(f"| {scale} | exact | {EXAMPLES:,} | {truth[scale][0]:.2f} | {truth[scale][1]:.2f} |")
        for row in table:
            if row.scale == scale:
                cells = (f"{mean:.2f} ± {by:.2f}" for mean, by in zip(row.mean, row.deviation, strict=True))
                print(f"| {scale} | {row.estimator} | {row.batch:,} | {' | '.join(cells)} |")
    if options.out is not None:
        draw(options.out, truth, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
