"""Subjects for the metrics' tests: representations made by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfvae_runner.metrics._subject import Categories, Floats, Integers, Representation, Subject, Truth

NAMES = ("shape", "size", "x")


def represented(
    mean: ArrayLike,
    scale: ArrayLike = 0.1,
    *,
    truth: Mapping[str, ArrayLike] | Sequence[Truth] = (),
    discrete: Mapping[str, ArrayLike] | None = None,
    label: ArrayLike | None = None,
    seed: int = 0,
) -> Representation:
    """N examples with these posterior means [N, D] and scales (one for all, or [N, D]); samples are drawn.

    truth: factors as name -> values [N], of as many values as the largest one tells, or whole Truths.
    discrete: name -> q(c|x) [N, K].
    """
    means = np.asarray(mean, dtype=np.float64)
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), means.shape).copy()
    generator = np.random.default_rng(seed)
    factors = [_truth(*item) for item in truth.items()] if isinstance(truth, Mapping) else list(truth)
    return Representation(
        names=tuple(f"z[{d}]" for d in range(means.shape[1])),
        mean=means,
        scale=scales,
        sample=means + scales * generator.standard_normal(means.shape),
        blocks={"z": slice(0, means.shape[1])},
        discrete=tuple(_categories(name, p, generator) for name, p in (discrete or {}).items()),
        truth=tuple(factors),
        label=None if label is None else _truth("label", label),
    )


def subject(encoded: Representation, *, train: Representation | None = None, seed: int = 0) -> Subject:
    """To measure; the prior is standard normal, and every importance weight and density ratio 1."""
    return Subject(
        encoded=encoded,
        train=encoded if train is None else train,
        seed=seed,
        prior_sample=lambda n, seed: np.random.default_rng(seed).standard_normal((n, len(encoded.names))),
        prior_log_ratios=lambda n, seed: np.zeros(n),
        log_weights=_no_weights,
    )


def grid(*sizes: int) -> NDArray[np.int64]:
    """All combinations of factor values, [ΠV, K], the last varying fastest."""
    return np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, len(sizes))


def factors(*sizes: int, repeats: int = 1, seed: int = 0) -> Integers:
    """The rows of a grid, each so many times, in a random order."""
    values = np.repeat(grid(*sizes), repeats, axis=0)
    return values[np.random.default_rng(seed).permutation(len(values))]


def truths(values: Integers, nuisance: Sequence[str] = ()) -> list[Truth]:
    """Columns of factor values as shape, size and x."""
    return [
        Truth(name, column.copy(), int(column.max()) + 1, name in nuisance)
        for name, column in zip(NAMES, values.T, strict=False)
    ]


def _truth(name: str, values: ArrayLike) -> Truth:
    known: NDArray[np.int64] = np.asarray(values, dtype=np.int64)
    return Truth(name, known, int(known.max()) + 1)


def _categories(name: str, probabilities: ArrayLike, generator: np.random.Generator) -> Categories:
    table: Floats = np.asarray(probabilities, dtype=np.float64)
    drawn = (table.cumsum(1) < generator.random((len(table), 1))).sum(1)
    return Categories(name, table, np.minimum(drawn, table.shape[1] - 1))


def _no_weights(examples: Integers, draws: int, seed: int) -> Floats:
    return np.zeros((len(examples), draws))
