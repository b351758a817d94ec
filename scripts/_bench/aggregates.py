"""Measures log q(z) of a batch alone, from its table of B·B·F log-densities: a plain way and ours, with gradients."""

import gc
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
from data_cost import memory
from torch import Tensor

from _bench.plain import LATENTS, log_normal, stratified
from _bench.ways import ratio, synchronise
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.priors.normal import normal

N_DATA = 50_000
ESTIMATORS = ("mws", "stratified")
# Takes mean, log σ and sample, [B, F] each; returns log q(z) summed over the batch, of joint and product of factors.
Score = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(estimator: str) -> Score:
    """Return a function that computes all B·B·F densities at once."""

    def score(mean: Tensor, log_sigma: Tensor, z: Tensor) -> Tensor:
        table = log_normal(z[:, None], mean[None], log_sigma[None])
        if estimator == "stratified":
            weights = stratified(len(z), N_DATA, z.device)
        else:
            weights = -torch.full((1, 1), float(len(z) * N_DATA), device=z.device).log()
        joint = torch.logsumexp(table.sum(2) + weights, dim=1)
        factors = torch.logsumexp(table + weights[:, :, None], dim=1)
        return joint.sum() - factors.sum()

    return score


def ours(estimator: str) -> Score:
    """Return a function that computes log q(z) as a run does."""
    latents = normal(size=LATENTS)

    def score(mean: Tensor, log_sigma: Tensor, z: Tensor) -> Tensor:
        posterior = [torch.cat([mean, log_sigma], dim=1)]
        q_z = aggregate.from_batch(latents, posterior, [z], estimator=estimator, n_data=N_DATA)  # type: ignore[arg-type]
        return q_z.log_prob("joint", [0]).sum() - q_z.log_prob("factor", [0]).sum()

    return score


WAYS: dict[str, Callable[[str], Score]] = {"plain": plain, "ours": ours}


def inputs(batch: int, device: torch.device) -> list[Tensor]:
    """Return mean, log σ and sample of posteriors like a trained encoder's, with a few collapsed dimensions."""
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, batch, LATENTS, generator=generator)
    log_sigma = torch.linspace(-3, 0, LATENTS).expand(batch, -1) + 0.1 * torch.randn(
        batch, LATENTS, generator=generator
    )
    spread = (1 - torch.exp(2 * log_sigma)).clamp_min(0).sqrt()
    mean = mean * spread
    return [each.to(device).requires_grad_() for each in (mean, log_sigma, mean + torch.exp(log_sigma) * noise)]


def forward_backward(score: Score, given: Sequence[Tensor]) -> float:
    """Return the seconds that a value and its three gradients take."""
    for each in given:
        each.grad = None
    synchronise(given[0].device)
    start = time.perf_counter()
    score(*given).backward()
    synchronise(given[0].device)
    return time.perf_counter() - start


def peak_in_own_process(way: str, estimator: str, batch: int, device: str, threads: int) -> int | None:
    """Return the peak growth of the process in bytes; None if it was killed or ran out of memory."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as executor:
            return executor.submit(peak, way, estimator, batch, device, threads).result()
    except (BrokenProcessPool, RuntimeError, MemoryError):
        return None


def peak(way: str, estimator: str, batch: int, device: str, threads: int) -> int:
    torch.set_num_threads(threads)
    score = WAYS[way](estimator)
    forward_backward(score, inputs(16, torch.device(device)))
    gc.collect()
    given = inputs(batch, torch.device(device))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        forward_backward(score, given)
        return torch.cuda.max_memory_allocated()
    before = memory()["VmRSS"]
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    forward_backward(score, given)
    return memory()["VmHWM"] - before


def lines(device: str, threads: int, rounds: int, batches: Sequence[int], largest: int) -> list[str]:
    """Return the table's lines: milliseconds of both ways, their ratio in the same rounds, and their peak memory."""
    torch.set_num_threads(threads)
    text = [f"{'log q(z) and its gradients':<34}{'plain ms':>10}{'ours ms':>10}{'ratio':>8}   [least, most]"]
    text[0] += f"{'plain MB':>12}{'ours MB':>10}"
    for estimator in ESTIMATORS:
        for batch in batches:
            given = inputs(batch, torch.device(device))
            scores = {name: way(estimator) for name, way in WAYS.items()}
            seconds: dict[str, list[float]] = {name: [] for name in scores}
            for name, score in [*scores.items()] * (rounds + 1):
                seconds[name].append(forward_backward(score, given))
            # The first of each is the warm-up.
            of_plain, of_ours = seconds["plain"][1:], seconds["ours"][1:]
            middle, least, most = ratio(of_plain, of_ours)
            peaks = [peak_in_own_process(name, estimator, batch, device, threads) for name in WAYS]
            line = f"{f'{estimator}, B={batch}, F={LATENTS}':<34}"
            line += f"{1e3 * median(of_plain):>10.1f}{1e3 * median(of_ours):>10.1f}{middle:>8.1f}"
            line += f"   {f'[{least:.1f}, {most:.1f}]':<13}{said(peaks[0]):>12}{said(peaks[1]):>10}"
            text.append(line)
        alone = peak_in_own_process("ours", estimator, largest, device, threads)
        text.append(f"{f'{estimator}, B={largest}, F={LATENTS}':<34}{'':>56}{said(alone):>10}")
    return text


def said(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.0f}"
