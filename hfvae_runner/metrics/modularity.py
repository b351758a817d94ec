"""Modularity: whether each latent variable has information on one factor only (Ridgeway & Mozer 2018, section 3).

Legend: N examples; L latent variables; J factors that vary; V values of a factor. Information in nats.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from hfvae_runner.config.factor_classes import binned
from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._gap import Factors, Partition, categorical_information
from hfvae_runner.metrics._subject import (
    Floats,
    Integers,
    Representation,
    Result,
    Subject,
    undefined,
)
from hfvae_runner.metrics.mig_binned import code_information

_NOTHING = 1e-9
"""The largest information, in nats, that rounding may cause where the exact value is 0."""


def modularity_of(information: Floats) -> list[float | None]:
    """Return 1 − δ_i of every latent variable, from m_ij [L, J], J ≥ 2: 1 for one factor only, 0 for all factors alike.

    The value is None for a variable without information: its template is 0 and δ_i is 0/0, which the paper leaves
    undefined.
    """
    most = information.max(axis=1)
    # The template t_ij is θ_i = max_j m_ij at the best factor and 0 elsewhere. Of tied factors it contains only one.
    rest = (information**2).sum(axis=1) - most**2
    informed = most > _NOTHING
    # Ridgeway & Mozer, section 3: δ_i = Σ_j (m_ij − t_ij)² / (θ_i² (J − 1)).
    deviation = rest[informed] / (most[informed] ** 2 * (information.shape[1] - 1))
    values = iter((1 - deviation).tolist())
    return [next(values) if each else None for each in informed]


def modularity(subject: Subject, *, bins: Count, rows: Count) -> Result:
    """Return `modularity`, the mean of 1 − δ_i over the latent variables, 0..1, and `modularity_per_variable`.

    m_ij is the information of the posterior means in equal-width bins, or of q(c|x) for a discrete variable, over the
    rows for which the factor is known. All factors that vary count, including nuisance factors: the definition has no
    mean over factors, and a variable may represent one of these.

    The plug-in information of pure noise is its bias, about (bins − 1)(V − 1)/(2N), and it counts as information. It is
    about equal for factors with equally many values, so noise scores near 0. A variable that is constant over the
    examples has no information. It is null, and left out of the mean.

    Args:
        bins: number of bins of equal width between each continuous factor's smallest and largest mean.
        rows: the most examples to use, the first ones.
    """
    encoded = subject.encoded.of_rows(slice(rows))
    factors = Factors.of(encoded.truth).partitions
    keys = ("modularity", "modularity_per_variable")
    if len(factors) < 2:
        return undefined(keys, f"modularity compares factors; expected two or more that vary, there are {len(factors)}")
    variables = subject.progress(_informations(encoded, bins), "modularity", len(encoded.variables))
    table = np.array([[information(factor) for factor in factors] for information in variables])
    per_variable = dict(zip(encoded.variables, modularity_of(table), strict=True))
    defined = [value for value in per_variable.values() if value is not None]
    if not defined:
        return undefined(keys, "no latent variable knows of any factor")
    return {"modularity": float(np.mean(defined)), "modularity_per_variable": per_variable}


def _informations(encoded: Representation, bins: int) -> Iterator[Callable[[Partition], float]]:
    """Yield a function for each latent variable, from a factor to the variable's information on it, nats."""
    for mean in encoded.mean.T:
        cells = binned(mean, bins)
        yield partial(_of_cells, cells)
    for each in encoded.discrete:
        yield partial(categorical_information, each)


def _of_cells(cells: Integers, factor: Partition) -> float:
    return code_information(cells, factor.part)
