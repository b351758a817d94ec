"""The inclusive divergence of the prior from the aggregate posterior, KL(p(z) ‖ q(z)) (α-β paper, App. B).

Legend: S draws z_s from the prior; N examples.
"""

import numpy as np

from hfvae_runner.metrics._subject import NO_PRIOR, Result, Subject, undefined

_KEYS = ("inclusive_kl", "inclusive_kl_se")


def inclusive_kl(subject: Subject, *, draws: int) -> Result:
    """Return `inclusive_kl` and its standard error over the draws, `inclusive_kl_se`, in nats.

    `inclusive_kl` is the mean over draws z_s from the prior of log p(z_s) − log 1/N Σ_n q(z_s|x_n), for all latent
    variables together. A discrete variable counts by the probabilities of the category drawn. The estimate is unbiased,
    so it may be below 0 if the divergence is near 0. q(z) is the mixture over the split: with fewer examples it has
    fewer components, and the divergence is larger.

    If posteriors are much narrower than the prior, few draws are near any of them. Then log q(z_s) is very low and
    varies greatly between draws, and the standard error is too small until some draw falls where q(z) is lowest. The
    divergence is infinite if the prior has no variance, as with ``prior=student_t`` and ν of 2 or less; then the
    estimate grows with ``draws``.

    The cost is that of S · N densities of all latent variables.

    Args:
        draws: the number of draws, S.
    """
    if subject.prior_log_ratios is None:
        return undefined(_KEYS, subject.without_densities or NO_PRIOR)
    # App. B prints both sums without their factors 1/B and 1/n.
    ratios = subject.prior_log_ratios(draws, subject.seed)
    if unusable := int((~np.isfinite(ratios)).sum()):
        return undefined(_KEYS, f"log p(z) - log q(z) is not finite at {unusable} of {draws} draws from the prior")
    value = {"inclusive_kl": float(ratios.mean())}
    if draws == 1:
        return {**value, **undefined(_KEYS[1:], "a single draw has no standard error")}
    return {**value, "inclusive_kl_se": float(ratios.std(ddof=1) / np.sqrt(draws))}
