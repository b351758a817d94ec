"""Measures the time and memory of each metric, from a thousand rows to all of dSprites, against a plain implementation.

    python scripts/bench_metrics.py [--metrics NAME,...] [--sizes 1000,3000,...] [--plain 3000] [--threads 1]

The posteriors are synthetic, for rows of the dSprites grid. Seven of ten latent variables encode the factors with
several scales, one of them a mixture of two factors; three are collapsed. A discrete variable depends partly on the
shape, which is also the label. Options are those of conf/metrics. For sizes up to ``--plain``, the plain implementation
is also measured with the same options, if there is one. Every measurement runs in a separate process, whose peak memory
includes the libraries and the encoded rows; the smallest size shows how much of it does not belong to the metric.
"""

import argparse
import importlib
import math
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from omegaconf import OmegaConf

from hfvae_runner.metrics._subject import Categories, Floats, Integers, Representation, Result, Subject, Truth

METRICS = Path(__file__).resolve().parents[1] / "conf" / "metrics"
SIZES = {"colour": 1, "shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
WHOLE = math.prod(SIZES.values())
# Left out: their cost is that of the networks or of the model's posteriors, which the synthetic subject lacks.
WITHOUT_NETWORKS = {"importance_bound", "inclusive_kl"}


class Measured(NamedTuple):
    """One run of a metric: wall and processor time in seconds, the process's peak memory in bytes, and the value."""

    seconds: float
    processor: float
    peak: float
    key: str
    value: float | None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", help="names, separated by commas; all by default")
    parser.add_argument("--sizes", default=f"1000,3000,10000,100000,{WHOLE}", help="rows, separated by commas")
    parser.add_argument("--plain", type=int, default=3000, help="up to so many rows the plain implementation runs")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    known = options_of_metrics()
    names = arguments.metrics.split(",") if arguments.metrics else sorted(known)
    if unknown := sorted(set(names) - set(known)):
        print(f"error: no metric {', '.join(unknown)}; there are {', '.join(sorted(known))}", file=sys.stderr)
        return 2
    # The measuring processes read it when they load their libraries.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    versions = f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    print(f"{os.cpu_count()} cores ({platform.machine()}), {arguments.threads} threads, {versions}")
    print(f"{'metric':<28}{'rows':>8}{'s':>9}{'cpu s':>9}{'GB':>7}{'value':>9}{'plain s':>10}{'value':>9}{'ratio':>8}")
    for name in names:
        for size in sorted(int(size) for size in arguments.sizes.split(",")):
            ours = in_own_process(name, known[name], size, arguments.threads, plain=False)
            line = f"{ours.key:<28}{size:>8}{ours.seconds:>9.2f}{ours.processor:>9.2f}{ours.peak / 1e9:>7.2f}"
            line += f"{said(ours.value):>9}"
            if name in PLAIN and size <= arguments.plain:
                plain = in_own_process(name, known[name], size, arguments.threads, plain=True)
                ratio = plain.processor / ours.processor
                line += f"{plain.seconds:>10.2f}{said(plain.value):>9}{ratio:>8.1f}"
            print(line, flush=True)
    return 0


def said(value: float | None) -> str:
    return "null" if value is None else f"{value:.4f}"


def options_of_metrics() -> dict[str, dict[str, Any]]:
    """Return the content of the files in conf/metrics by the metrics' names, without lists of metrics."""
    files = {path.stem: dict[str, Any](OmegaConf.load(path)) for path in METRICS.glob("*.yaml")}
    return {name: each for name, each in files.items() if "_target_" in each and name not in WITHOUT_NETWORKS}


def in_own_process(name: str, options: dict[str, Any], rows: int, threads: int, *, plain: bool) -> Measured:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(measured, name, options, rows, threads, plain).result()


def measured(name: str, options: dict[str, Any], rows: int, threads: int, plain: bool) -> Measured:
    torch.set_num_threads(threads)
    # Metrics import it when they need it; the time of the import is not counted.
    importlib.import_module("sklearn.ensemble")
    subject = subject_of(rows)
    metric = PLAIN[name] if plain else metric_of(options)
    start, processor = time.perf_counter(), time.process_time()
    result = metric(subject, **{key: value for key, value in options.items() if key != "_target_"})
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    unit = 1 if sys.platform == "darwin" else 1024
    key, value = next(((key, value) for key, value in result.items() if isinstance(value, float | int)), (name, None))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Measured(seconds, processor, peak, key, value)


def metric_of(options: Mapping[str, Any]) -> Callable[..., Result]:
    module, name = options["_target_"].rsplit(".", 1)
    metric: Callable[..., Result] = getattr(importlib.import_module(module), name)
    return metric


def subject_of(rows: int) -> Subject:
    """Return the given number of rows of the grid in random order, encoded by a synthetic encoder."""
    generator = np.random.default_rng(0)
    cells = generator.permutation(WHOLE)[:rows]
    of_factor = dict(zip(SIZES, np.unravel_index(cells, list(SIZES.values())), strict=True))
    shape, scale, x, y = (of_factor[name] / (SIZES[name] - 1) for name in ("shape", "scale", "x", "y"))
    angle = 2 * np.pi * of_factor["orientation"] / SIZES["orientation"]
    means = [2 * x, 2 * y, 3 * scale, np.cos(angle), np.sin(angle), x + y, 2 * shape, *np.zeros((3, rows))]
    width = np.array([0.03, 0.05, 0.15, 0.1, 0.2, 0.02, 0.3, 0.98, 0.99, 1.0])
    blur = np.array([0.1, 0.2, 0.2, 0.7, 0.7, 0.1, 0.3, 0.01, 0.01, 0.01])
    mean = np.stack(means, axis=1) + 0.02 * generator.standard_normal((rows, 10))
    encoded = Representation(
        names=tuple(f"z[{d}]" for d in range(10)),
        mean=mean,
        scale=width * np.exp(blur * generator.standard_normal((rows, 10))),
        sample=mean,
        blocks={"where": slice(0, 5), "what": slice(5, 10)},
        discrete=(discrete_of(of_factor["shape"], generator),),
        truth=tuple(Truth(name, values, SIZES[name], name == "shape") for name, values in of_factor.items()),
        label=Truth("shape", of_factor["shape"], SIZES["shape"]),
    )
    return Subject(
        encoded=encoded,
        train=encoded,
        seed=0,
        prior_sample=lambda count, seed: np.random.default_rng(seed).standard_normal((count, 10)),
        prior_log_ratios=lambda count, seed: np.zeros(count),
        log_weights=lambda examples, draws, seed: np.zeros((len(examples), draws)),
    )


def discrete_of(value: Integers, generator: np.random.Generator) -> Categories:
    """Return a variable of three categories that follows the value, with random certainty."""
    logits = generator.standard_normal((len(value), 3))
    logits[np.arange(len(value)), value] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Categories("c", probabilities, probabilities.argmax(1))


# Literal implementations of the definitions, without optimisation for time or memory. ---------------------------------


def factors_that_vary(truth: tuple[Truth, ...]) -> list[Truth]:
    return [factor for factor in truth if np.ptp(factor.values) > 0]


def entropy_of(values: Integers) -> float:
    p = np.bincount(values) / len(values)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def mean_gap(information: Mapping[str, list[float]], factors: list[Truth], key: str) -> Result:
    """Compute the mean gap, Eq. 6 of the β-TCVAE paper."""
    gaps = []
    for factor in factors:
        *_, second, first = sorted(max(each, 0.0) for each in information[factor.name])
        if not factor.nuisance:
            gaps.append((first - second) / entropy_of(factor.values))
    return {key: float(np.mean(gaps))}


def of_categories(variable: Categories, factor: Truth) -> float:
    whole = variable.probabilities.mean(0)
    information = 0.0
    for value in np.unique(factor.values):
        given = variable.probabilities[factor.values == value].mean(0)
        information += np.mean(factor.values == value) * float(given @ np.log(given / whole))
    return information


def log_mixture(z: Floats, mean: Floats, scale: Floats) -> Floats:
    """Compute log 1/N Σ_n N(z_s; m_n, s_n) over all dimensions together, [S], from [S, D], [N, D] and [N, D]."""
    table = np.zeros((len(z), len(mean)))
    for d in range(z.shape[1]):
        table -= ((z[:, d, None] - mean[:, d]) / scale[:, d]) ** 2 / 2 + np.log(scale[:, d]) + np.log(2 * np.pi) / 2
    largest = table.max(1)
    return np.asarray(np.log(np.exp(table - largest[:, None]).mean(1)) + largest)


def scales(encoded: Representation) -> Floats:
    """Those of the made-up posteriors, which are known."""
    assert encoded.scale is not None
    return encoded.scale


def plain_mig(subject: Subject, *, samples: int, repeats: int) -> Result:
    encoded, generator = subject.encoded, subject.generator()
    factors = factors_that_vary(encoded.truth)
    gaps = []
    for _ in range(repeats):
        z = encoded.mean + scales(encoded) * generator.standard_normal(encoded.mean.shape)

        def entropies(members: Integers, z: Floats = z) -> Floats:
            chosen = generator.permutation(members)[:samples]
            columns = [slice(d, d + 1) for d in range(z.shape[1])]
            mean, scale = encoded.mean[members], scales(encoded)[members]
            return np.array([-log_mixture(z[chosen, d], mean[:, d], scale[:, d]).mean() for d in columns])

        whole = entropies(np.arange(len(encoded)))
        information = {}
        for factor in factors:
            given = np.zeros(z.shape[1])
            for value in np.unique(factor.values):
                members = np.flatnonzero(factor.values == value)
                given += len(members) / len(encoded) * entropies(members)
            discrete = [of_categories(variable, factor) for variable in encoded.discrete]
            information[factor.name] = [*(whole - given).tolist(), *discrete]
        gaps.append(mean_gap(information, factors, "mig")["mig"])
    return {"mig": float(np.mean(np.array(gaps, dtype=np.float64)))}


def plain_mig_exact(subject: Subject) -> Result:
    encoded = subject.encoded
    factors = factors_that_vary(encoded.truth)
    information = {factor.name: [of_categories(each, factor) for each in encoded.discrete] for factor in factors}
    for mean, scale in zip(encoded.mean.T, scales(encoded).T, strict=True):
        step = scale.min() / 2
        grid = np.arange((mean - 9 * scale).min(), (mean + 9 * scale).max(), step)
        density = np.empty((len(mean), len(grid)))
        for row, (m, s) in enumerate(zip(mean, scale, strict=True)):
            density[row] = np.exp(-(((grid - m) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))
        whole = density.mean(0)
        for factor in factors:
            found = 0.0
            for value in np.unique(factor.values):
                given = density[factor.values == value].mean(0)
                there = given > 0
                integral = (given[there] * np.log(given[there] / whole[there])).sum() * step
                found += np.mean(factor.values == value) * integral
            information[factor.name].append(float(found))
    return mean_gap(information, factors, "mig_exact")


def plain_mig_binned(subject: Subject, *, samples: int, bins: int) -> Result:
    from sklearn.metrics import mutual_info_score

    encoded = subject.encoded
    rows = subject.generator().permutation(len(encoded))[:samples]
    codes = [np.digitize(z, np.histogram(z, bins)[1][:-1]) for z in encoded.mean[rows].T]
    codes += [variable.probabilities[rows].argmax(1) for variable in encoded.discrete]
    factors = [Truth(f.name, f.values[rows], f.size, f.nuisance) for f in factors_that_vary(encoded.truth)]
    information = {f.name: [float(mutual_info_score(f.values, code)) for code in codes] for f in factors}
    return mean_gap(information, factors, "mig_binned")


def plain_mig_blocks(subject: Subject, *, samples: int) -> Result:
    encoded, generator = subject.encoded, subject.generator()
    rows = generator.permutation(len(encoded))[:samples]
    factors = factors_that_vary(encoded.truth)
    information = {factor.name: [of_categories(each, factor) for each in encoded.discrete] for factor in factors}
    for block in encoded.blocks.values():
        mean, scale = encoded.mean[:, block], scales(encoded)[:, block]
        z = mean[rows] + scale[rows] * generator.standard_normal((len(rows), mean.shape[1]))
        whole = log_mixture(z, mean, scale)
        for factor in factors:
            terms = np.empty(len(rows))
            for value in np.unique(factor.values[rows]):
                members, mine = factor.values == value, factor.values[rows] == value
                terms[mine] = log_mixture(z[mine], mean[members], scale[members]) - whole[mine]
            information[factor.name].append(float(terms.mean()))
    return mean_gap(information, factors, "mig_blocks")


def rows_of_vote(factors: list[Truth], count: int, generator: np.random.Generator) -> tuple[int, Integers]:
    """Return a random factor, and rows that share a random row's value of it."""
    k = int(generator.integers(len(factors)))
    same = np.flatnonzero(factors[k].values == generator.choice(factors[k].values))
    return k, generator.choice(same, count)


def code_of(encoded: Representation) -> Floats:
    return np.hstack([encoded.mean, *(variable.probabilities for variable in encoded.discrete)])


def plain_factor_vae_score(subject: Subject, *, votes: int, test_votes: int, rows: int, least_std: float) -> Result:
    encoded, generator = subject.encoded, subject.generator()
    factors, code = factors_that_vary(encoded.truth), code_of(encoded)
    code = code[:, code.std(0) >= least_std]
    whole = code.var(0)
    counts = np.zeros((2, len(factors), code.shape[1]), dtype=np.int64)
    for vote in range(votes + test_votes):
        k, chosen = rows_of_vote(factors, rows, generator)
        spread = [np.var([code[row, d] for row in chosen]) / whole[d] for d in range(code.shape[1])]
        counts[int(vote >= votes), k, int(np.argmin(spread))] += 1
    train, test = counts
    right = test[train.argmax(0), np.arange(test.shape[1])].sum()
    return {"factor_vae_score": float(right / test_votes)}


def plain_beta_vae_score(subject: Subject, *, votes: int, test_votes: int, pairs: int) -> Result:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    encoded, generator = subject.encoded, subject.generator()
    factors, code = factors_that_vary(encoded.truth), code_of(encoded)
    distances, labels = [], []
    for _ in range(votes + test_votes):
        k = int(generator.integers(len(factors)))
        of_pair = []
        for first in generator.integers(len(encoded), size=pairs):
            same = np.flatnonzero(factors[k].values == factors[k].values[first])
            of_pair.append(np.abs(code[first] - code[generator.choice(same)]))
        distances.append(np.mean(of_pair, axis=0))
        labels.append(k)
    scaled = StandardScaler().fit(distances[:votes]).transform(distances)
    regression = LogisticRegression(max_iter=1000).fit(scaled[:votes], labels[:votes])
    return {"beta_vae_score": float(regression.score(scaled[votes:], labels[votes:]))}


PLAIN: dict[str, Callable[..., Result]] = {
    "mig": plain_mig,
    "mig_exact": plain_mig_exact,
    "mig_binned": plain_mig_binned,
    "mig_blocks": plain_mig_blocks,
    "factor_vae_score": plain_factor_vae_score,
    "beta_vae_score": plain_beta_vae_score,
}


if __name__ == "__main__":
    sys.exit(main())
