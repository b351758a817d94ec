"""The importance-weighted bound on log p(x) (Burda et al. 2016, Eq. 8).

Legend: B examples; k samples of each; w = p(x, z) / q(z|x). Nats per example.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._subject import NO_MODEL, Floats, Result, Subject, undefined

# Examples and draws at once: few enough for a decoder of 64×64 images. Each block has its own seed, so the block size
# must not depend on any setting.
_EXAMPLES = 20
_DRAWS = 50
_KEYS = ("importance_bound", "importance_bound_se")


def log_mean_weight(log_weights: Iterable[Floats]) -> Floats:
    """Return log (1/k Σ w) of each example, [B], from log w in any parts [B, k_part] of the k columns."""
    parts = iter(log_weights)
    first = next(parts)
    k, total = first.shape[1], np.logaddexp.reduce(first, axis=1)
    for part in parts:
        k, total = k + part.shape[1], np.logaddexp(total, np.logaddexp.reduce(part, axis=1))
    # Burda et al., Eq. 8.
    return np.asarray(total - np.log(k))


def importance_bound(subject: Subject, *, samples: Count, rows: Count) -> Result:
    """Return `importance_bound`, the mean over examples of log (1/k Σ w), nats, and its standard error over examples.

    The expectation of the bound over draws is the ELBO for k = 1, increases with k, and stays below the mean of log
    p(x). It reaches that for k → ∞, or for any k if q is the true posterior. `importance_bound_rows` is the number of
    examples. The standard error of a single example is null.

    The cost is that of decoding samples · rows codes.

    Args:
        samples: the number of samples for each example, k.
        rows: the most examples to use, the first ones, which are a random part.
    """
    log_weights = subject.log_weights
    if log_weights is None:
        return undefined((*_KEYS, "importance_bound_rows"), subject.without_densities or NO_MODEL)
    rows = min(rows, len(subject.encoded))
    blocks = np.split(np.arange(rows), range(_EXAMPLES, rows, _EXAMPLES))
    sizes = [min(_DRAWS, samples - start) for start in range(0, samples, _DRAWS)]

    def weights() -> Iterator[Floats]:
        for b, block in enumerate(blocks):
            for c, draws in enumerate(sizes):
                yield log_weights(block, draws, _seed(subject.seed, b, c))

    each = subject.progress(weights(), "importance bound", len(blocks) * len(sizes))
    bounds = np.concatenate([log_mean_weight(next(each) for _ in sizes) for _ in blocks])
    count = {"importance_bound_rows": rows}
    if unusable := int((~np.isfinite(bounds)).sum()):
        return {**undefined(_KEYS, f"{unusable} of {rows} examples have no finite estimate of log p(x)"), **count}
    value = {"importance_bound": float(bounds.mean())}
    if rows == 1:
        return {**value, **undefined(_KEYS[1:], "a single example has no standard error"), **count}
    return {**value, "importance_bound_se": float(bounds.std(ddof=1) / np.sqrt(rows)), **count}


def _seed(seed: int, block: int, chunk: int) -> int:
    """Return the seed of one block's draws, 63 bits."""
    state = np.random.SeedSequence(seed, spawn_key=(block, chunk)).generate_state(1, np.uint64)
    return int(state[0]) >> 1
