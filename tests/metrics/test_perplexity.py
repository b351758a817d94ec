"""Perplexity of models whose answer is known."""

import math

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import multinomial

from hfvae_runner.metrics.perplexity import perplexity


def test_a_uniform_model_is_as_perplexed_as_there_are_words():
    words = np.array([3.0, 1.0, 10.0])
    nothing = np.zeros(3)
    result = perplexity(words * -math.log(2000), nothing, words)
    assert result.corpus == pytest.approx(2000)
    assert result.document_mean == pytest.approx(2000)
    assert result.documents == 3


def test_the_multinomial_coefficient_is_taken_off():
    counts = np.array([[2, 1, 0], [5, 0, 4], [1, 1, 1]])
    shares = np.array([0.5, 0.2, 0.3])
    words = counts.sum(1)
    elbo = np.array([multinomial(n, shares).logpmf(row) for n, row in zip(words, counts, strict=True)])
    coefficient = gammaln(words + 1) - gammaln(counts + 1).sum(1)
    # The geometric mean of the words' own probabilities, word by word.
    expected = math.exp(-(counts @ np.log(shares)).sum() / words.sum())
    assert perplexity(elbo, coefficient, words).corpus == pytest.approx(expected)
    assert perplexity(elbo, 0 * coefficient, words).corpus < expected


def test_words_or_documents_count_the_same():
    """One long document guessed well and one short one guessed badly, e.g. by 2 and by 32 equal chances."""
    elbo, words = -np.array([9, 1]) * np.log([2, 32]), np.array([9, 1])
    result = perplexity(elbo, np.zeros(2), words)
    assert result.corpus == pytest.approx(2 ** (14 / 10))
    assert result.document_mean == pytest.approx(2 ** (6 / 2))


def test_the_kl_is_part_of_the_bound():
    # 1.5 nats of KL on 3 words: half a nat each.
    assert perplexity(np.array([-1.5]), np.zeros(1), np.array([3])).corpus == pytest.approx(math.exp(0.5))


def test_empty_documents_are_left_out():
    result = perplexity(np.array([-8.0, -700.0]), np.zeros(2), np.array([4, 0]))
    assert result == (pytest.approx(math.exp(2)), pytest.approx(math.exp(2)), 1)


def test_a_bound_beyond_all_numbers_is_infinite():
    result = perplexity(np.array([-1e6, -1.0]), np.zeros(2), np.array([1, 1]))
    assert (result.corpus, result.document_mean) == (math.inf, math.inf)


@pytest.mark.parametrize(
    ("elbo", "coefficient", "words", "message"),
    [
        ([-1.0], [0.0], [0.0], "at least one document with a word"),
        ([], [], [], "at least one document"),
        ([-1.0, -2.0], [0.0], [1.0, 1.0], "one size"),
        ([[-1.0]], [[0.0]], [[1.0]], "one size"),
        ([np.nan], [0.0], [1.0], "not finite"),
        ([-1.0], [np.inf], [1.0], "not finite"),
    ],
)
def test_unusable_input_is_refused(elbo, coefficient, words, message):
    with pytest.raises(ValueError, match=message):
        perplexity(np.array(elbo), np.array(coefficient), np.array(words))
