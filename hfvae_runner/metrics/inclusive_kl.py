"""The inclusive divergence of the prior from the aggregate posterior, KL(p(z) ‖ q(z)) (α-β paper, App. B).

Legend: S draws z_s from the prior; N examples.
"""

import numpy as np

from hfvae_runner.metrics._subject import NO_PRIOR, Result, Subject, undefined

_KEYS = ("inclusive_kl", "inclusive_kl_se")


def inclusive_kl(subject: Subject, *, draws: int) -> Result:
    """`inclusive_kl`: the mean over draws z_s from the prior of log p(z_s) − log 1/N Σ_n q(z_s|x_n), nats, and its
    standard error over the draws, `inclusive_kl_se`.

    All latent variables together; a discrete one counts by the probabilities of the category drawn. The estimate is
    unbiased, and so may fall below 0 where the divergence is near it. q(z) is that of the split: with fewer examples it
    has fewer components, and the divergence is larger.

    Where posteriors are much narrower than the prior, few draws come near any of them: log q(z_s) is then very low and
    varies greatly between draws, and the standard error is too small for as long as no draw has fallen where q(z) is
    lowest. The divergence is infinite where the prior has no variance, as ``prior=student_t`` with ν of 2 or less, and
    the estimate of such a one grows with ``draws``.

    draws: S. The cost is that of S · N densities of all latent variables.
    """
    if subject.prior_log_ratios is None:
        return undefined(_KEYS, NO_PRIOR)
    # App. B, where both sums are printed without their 1/B and 1/n.
    ratios = subject.prior_log_ratios(draws, subject.seed)
    if unusable := int((~np.isfinite(ratios)).sum()):
        return undefined(_KEYS, f"log p(z) - log q(z) is not finite at {unusable} of {draws} draws from the prior")
    value = {"inclusive_kl": float(ratios.mean())}
    if draws == 1:
        return {**value, **undefined(_KEYS[1:], "a single draw has no standard error")}
    return {**value, "inclusive_kl_se": float(ratios.std(ddof=1) / np.sqrt(draws))}
