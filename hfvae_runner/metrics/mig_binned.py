"""The mutual information gap of binned posterior means (Locatello et al. 2019, appendix C).

Legend: N examples; L latent variables; F factors.
"""

import numpy as np

from hfvae_runner.config.factor_classes import binned
from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._gap import Factors, gaps, information_of
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Result, Subject, undefined


def mig_binned(subject: Subject, *, samples: Count, bins: Count) -> Result:
    """Return the gap between plug-in informations of discretised codes.

    A discrete variable is represented by its most probable category. A collapsed factor whose means are all equal has a
    single bin and no information. Means that differ very little are spread over the bins like any others, because the
    posteriors' scales are not used. Plug-in information is biased upwards by about (bins − 1)(V − 1)/(2 · rows) nats
    for a factor of V values, which is large if the rows are few.

    Args:
        samples: the most rows, drawn without replacement.
        bins: number of bins of equal width, from the least to the greatest of these rows' means, for each continuous
            factor separately.

    Keys:
        mig_binned: mean over the factors that are not nuisance, in 0 … 1.
        mig_binned_per_factor: the gap of each factor; null for a factor with a single value among the rows.
    """
    rows = subject.generator().permutation(len(subject.encoded))[:samples]
    factors, information = binned_information(subject.encoded, rows, bins)
    if why := factors.why_none(len(information)):
        return undefined(["mig_binned", "mig_binned_per_factor"], why)
    gap = gaps(information, factors.entropies)
    return {**factors.mean("mig_binned", gap), "mig_binned_per_factor": factors.each(gap)}


def binned_information(encoded: Representation, rows: Integers, bins: int) -> tuple[Factors, Floats]:
    """Return the factors of these rows, and each variable's binned information on each that varies, [L, F], nats.

    The information is that of binned posterior means. A discrete variable is represented by its most probable category.
    """
    chosen = encoded.of_rows(rows)
    codes = [binned(mean, bins) for mean in chosen.mean.T]
    codes += [variable.probabilities.argmax(1) for variable in chosen.discrete]
    factors = Factors.of(chosen.truth)
    table = [[code_information(code, each.part) for each in factors.partitions] for code in codes]
    return factors, np.array(table).reshape(len(codes), len(factors.partitions))


def code_information(code: Integers, part: Integers) -> float:
    """Return I(code; v), nats, from two labellings' joint frequencies, [N] each, over the rows whose part is known."""
    code, part = code[part != UNKNOWN], part[part != UNKNOWN]
    parts = int(part.max()) + 1
    joint = np.bincount(code * parts + part, minlength=(int(code.max()) + 1) * parts)
    return information_of(joint.reshape(-1, parts).astype(np.float64))
