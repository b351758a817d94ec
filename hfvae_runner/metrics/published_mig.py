"""The mutual information gap as in published tables (Locatello et al. 2019)."""

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._gap import gaps
from hfvae_runner.metrics._published import mean_over
from hfvae_runner.metrics._subject import Result, Subject, undefined
from hfvae_runner.metrics.mig_binned import binned_information

_KEYS = ("published_mig", "published_mig_per_factor")


def published_mig(subject: Subject, *, samples: Count, bins: Count) -> Result:
    """Return `published_mig`, which is `mig_binned` with the mean over all factors, including nuisance factors.

    A factor's gap is that between the two largest plug-in informations of binned posterior means, divided by its
    entropy. `published_mig_per_factor` is null for a factor with a single value.

    Args:
        samples: the most rows, drawn without replacement.
        bins: number of bins of equal width between each variable's extremes.
    """
    rows = subject.generator().permutation(len(subject.encoded))[:samples]
    factors, information = binned_information(subject.encoded, rows, bins)
    if why := factors.why_none(len(information)):
        return undefined(_KEYS, why)
    gap = gaps(information, factors.entropies)
    found = {each.name: float(value) for each, value in zip(factors.partitions, gap, strict=True)}
    return dict(zip(_KEYS, mean_over(subject, found), strict=True))
