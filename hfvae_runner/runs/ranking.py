"""Ranks the seeds of a setting without labels, by how far their latents agree (Duan et al. 2020).

Legend: R runs; N examples; D continuous factors.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from hfvae_runner.config.names import Correlation
from hfvae_runner.config.schema import Config
from hfvae_runner.data import as_float
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.metrics.mcc import absolute_correlation, assigned
from hfvae_runner.metrics.udr import normal_kl, udr
from hfvae_runner.runs.assembly import finished_run
from hfvae_runner.storage import run_folder

EXAMPLES = 2000
"""N, the most examples of the test split that the runs are compared on."""
_BATCH = 1024


def rank(runs: Mapping[Path, Config], correlation: Correlation) -> dict[Path, dict[str, float]]:
    """Compare the runs of one setting, and add the result to each run's metrics.json.

    Adds to the section ``test``: ``udr``, the median over the other runs of how far the latents of the two agree, and
    ``mcc_between_seeds``, the median over the other runs of the mean absolute correlation of latents assigned
    one-to-one. Both are of the posterior means of the same examples.

    Args:
        runs: the configs of R finished runs, at least two, by folder.
        correlation: of UDR, ``spearman`` or ``lasso``.

    Returns:
        What was added, by folder.

    Raises:
        ConfigError: there are fewer than two runs, they have other examples or numbers of factors, or no continuous
            factor.
        RunnerError: a run cannot be used, or its folder cannot be written.
    """
    if len(runs) < 2:
        (only,) = runs
        raise ConfigError(f"udr={correlation}: {only} is the only run of its setting; expected several seeds")
    means, kls = zip(*(_encoded(folder, config) for folder, config in runs.items()), strict=True)
    if len({mean.shape for mean in means}) > 1 or means[0].shape[1] == 0:
        shapes = ", ".join(f"{list(mean.shape)}" for mean in means)
        raise ConfigError(f"udr={correlation}: codes of shapes {shapes}; expected the same examples and factors")
    scores = udr(means, kls, correlation=correlation)
    agreement = _between(means)
    found = {
        folder: {"udr": score, "mcc_between_seeds": mcc}
        for folder, score, mcc in zip(runs, scores, agreement, strict=True)
    }
    for folder, added in found.items():
        with run_folder.locked(folder):
            metrics = run_folder.load_metrics(folder)
            test, known = (metrics.get(key) for key in ("test", "measured"))
            metrics["test"] = {**(test if isinstance(test, Mapping) else {}), **added}
            options = {"correlation": correlation, "runs": len(runs)}
            metrics["measured"] = {**(known if isinstance(known, Mapping) else {}), "udr": options}
            run_folder.write_metrics(folder, metrics)
    return found


@torch.no_grad()
def _encoded(folder: Path, config: Config) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior means [N, D] of the first test examples, and each factor's KL to N(0, 1), [D], nats."""
    run = finished_run(config, folder)
    model = run.model.eval()
    x = run.dataset.test.x
    continuous = [g for g, block in enumerate(model.latents.blocks) if isinstance(block, NormalBlock)]
    if not continuous:
        return np.empty((len(x), 0)), np.empty(0)
    parts = []
    for index in torch.arange(min(EXAMPLES, len(x))).split(_BATCH):
        posterior = model.encode(as_float(x[index.to(x.device)].to(run.device)))
        chunks = [posterior[g].double().chunk(2, dim=1) for g in continuous]
        parts.append(torch.cat([torch.cat(list(each), dim=1) for each in zip(*chunks, strict=True)], dim=1).cpu())
    mean, log_scale = torch.cat(parts).chunk(2, dim=1)
    return mean.numpy(), normal_kl(mean.numpy(), log_scale.exp().numpy())


def _between(means: Sequence[NDArray[np.float64]]) -> list[float]:
    """Each run's median over the others of the mean |Pearson's r| of latents assigned one-to-one."""
    found: list[list[float]] = [[] for _ in means]
    for i, j in combinations(range(len(means)), 2):
        table = np.stack([absolute_correlation(means[j], column) for column in means[i].T])
        value = float(assigned(table)[1].mean())
        found[i].append(value)
        found[j].append(value)
    return [median(values) for values in found]
