"""The BetaVAE score as in published tables (Higgins et al. 2017; Locatello et al. 2019).

Legend: M columns of the code; V votes.
"""

import numpy as np

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._columns import columns
from hfvae_runner.metrics._subject import Floats, Integers, Result, Subject, undefined
from hfvae_runner.metrics._votes import all_shared_values
from hfvae_runner.metrics.beta_vae_score import votes_of

_KEYS = ("published_beta_vae_score", "published_beta_vae_score_train", "published_beta_vae_score_se")


def linear_accuracy(train: Floats, label: Integers, test: Floats, test_label: Integers) -> tuple[float, float]:
    """Return a logistic regression's accuracies on the training votes, [V, M] and [V], and on the test votes.

    It is one regression per factor against the rest, with the library's penalty: the library's defaults when the tables
    were made.
    """
    if np.ptp(label) == 0:
        # All training votes are of one factor, so the classifier always predicts that factor.
        return 1.0, float(np.mean(test_label == label[0]))
    # Imported here because it takes a second.
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    model = OneVsRestClassifier(LogisticRegression(solver="liblinear")).fit(train, label)
    return float(model.score(train, label)), float(model.score(test, test_label))


def published_beta_vae_score(subject: Subject, *, votes: Count, test_votes: Count, pairs: Count) -> Result:
    """Return `published_beta_vae_score`, the linear classifier's accuracy on test votes, and its binomial error `…_se`.

    It differs from `beta_vae_score` in that distances are not standardised, so the regression's penalty has a larger
    effect on a code of small numbers. `…_train` is the accuracy on the training votes. With fewer than two factors that
    have votes, the score is null.

    Args:
        votes: number of votes to train on.
        test_votes: number of votes to score on.
        pairs: number of pairs of examples that share a value, whose distances a vote averages.
    """
    factors = all_shared_values(subject.encoded.truth)
    if len(factors) < 2:
        why = f"expected two factors or more with several values, some of them shared by examples, got {len(factors)}"
        return undefined(_KEYS, why)
    values, generator, each = columns(subject.encoded).values, subject.generator(), list(factors.values())
    fitted = votes_of(subject, values, each, votes, pairs, generator)
    scored = votes_of(subject, values, each, test_votes, pairs, generator)
    train, test = linear_accuracy(*fitted, *scored)
    return dict(zip(_KEYS, (test, train, float(np.sqrt(test * (1 - test) / test_votes))), strict=True))
