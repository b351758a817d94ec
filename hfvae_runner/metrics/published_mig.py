"""The mutual information gap as the field's tables have it (Locatello et al. 2019)."""

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._gap import gaps
from hfvae_runner.metrics._published import mean_over
from hfvae_runner.metrics._subject import Result, Subject, undefined
from hfvae_runner.metrics.mig_binned import binned_information

_KEYS = ("published_mig", "published_mig_per_factor")


def published_mig(subject: Subject, *, samples: Count, bins: Count) -> Result:
    """`published_mig`: as `mig_binned`, but the mean is over all factors, those of nuisance too.

    Per factor the gap between the two largest plug-in informations of binned posterior means, over its entropy.
    `published_mig_per_factor` is null for a factor with a single value.

    samples: rows, at most. bins: of equal width between each variable's extremes.
    """
    rows = subject.generator().permutation(len(subject.encoded))[:samples]
    factors, information = binned_information(subject.encoded, rows, bins)
    if why := factors.why_none(len(information)):
        return undefined(_KEYS, why)
    gap = gaps(information, factors.entropies)
    found = {each.name: float(value) for each, value in zip(factors.partitions, gap, strict=True)}
    return dict(zip(_KEYS, mean_over(subject, found), strict=True))
