"""Topic coherence on corpora small enough to count by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from hfvae_runner.metrics.npmi import topic_coherence


def by_counting(topic, counts):
    """The mean over pairs, by the definition, one pair and one document at a time."""
    documents = [{word for word, count in enumerate(row) if count > 0} for row in counts.tolist()]

    def share(*words):
        return sum(all(word in document for word in words) for document in documents) / len(documents)

    scores = []
    for place, v in enumerate(topic):
        for w in topic[:place]:
            both = share(v, w)
            if both in (0, 1):
                scores.append(2 * both - 1)
            else:
                scores.append(np.log(both / (share(v) * share(w))) / -np.log(both))
    return np.mean(scores)


def test_words_that_are_only_ever_together_score_one():
    counts = np.array([[1, 2, 0], [3, 1, 0], [0, 0, 1], [0, 0, 4]])
    np.testing.assert_allclose(topic_coherence(np.array([[0, 1]]), counts), [1], rtol=1e-12)


def test_words_that_are_never_together_score_minus_one():
    counts = np.array([[1, 0], [0, 1], [0, 0]])
    assert topic_coherence(np.array([[0, 1]]), counts).tolist() == [-1]


def test_independent_words_score_zero():
    counts = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    np.testing.assert_allclose(topic_coherence(np.array([[0, 1]]), counts), [0], atol=1e-12)


def test_a_word_in_every_document():
    counts = np.array([[1, 1, 1], [1, 1, 0]])
    # Both everywhere: the limit; one everywhere: independent of the other.
    np.testing.assert_allclose(topic_coherence(np.array([[0, 1], [0, 2]]), counts), [1, 0], atol=1e-12)


def test_a_word_in_no_document():
    counts = np.array([[1, 0, 0], [1, 0, 0]])
    assert topic_coherence(np.array([[0, 1], [1, 2]]), counts).tolist() == [-1, -1]


def test_a_pair_by_its_number():
    # p(v) = 1/2, p(w) = 1/4, p(v, w) = 1/4: log 2 / log 4.
    counts = np.array([[2, 1], [1, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(topic_coherence(np.array([[0, 1]]), counts), [0.5])


def test_the_45_pairs_of_ten_words_count_the_same():
    """Nine words always together, the tenth never with them: 36 pairs of 1 and 9 of −1."""
    counts = np.zeros((4, 12))
    counts[:2, :9] = 1
    counts[2, 9] = 1
    np.testing.assert_allclose(topic_coherence(np.arange(10)[None], counts), [(36 - 9) / 45])


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(0.05, 0.95))
def test_it_is_the_definition(seed, documents, density):
    generator = np.random.default_rng(seed)
    counts = generator.poisson(density, (documents, 8))
    topics = np.stack([generator.permutation(8)[:4] for _ in range(3)])
    expected = [by_counting(topic, counts) for topic in topics.tolist()]
    np.testing.assert_allclose(topic_coherence(topics, counts), expected, atol=1e-10)
    np.testing.assert_allclose(topic_coherence(topics, csr_matrix(counts)), expected, atol=1e-10)


def test_how_often_a_word_is_in_a_document_does_not_matter():
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.5, (40, 6))
    topics = np.array([[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(topic_coherence(topics, counts), topic_coherence(topics, 7 * counts))


def test_no_topic_has_no_score():
    assert topic_coherence(np.zeros((0, 10), int), np.ones((3, 20))).shape == (0,)


@pytest.mark.parametrize(
    ("topics", "counts", "message"),
    [
        (np.array([[0]]), np.ones((2, 3)), "at least two words"),
        (np.array([0, 1]), np.ones((2, 3)), "at least two words"),
        (np.array([[0, 1]]), np.ones((0, 3)), "at least one document"),
        (np.array([[0, 3]]), np.ones((2, 3)), r"0\.\.2, got 0\.\.3"),
        (np.array([[-1, 2]]), np.ones((2, 3)), r"got -1\.\.2"),
        (np.array([[1, 1]]), np.ones((2, 3)), "a word twice"),
    ],
)
def test_unusable_input_is_refused(topics, counts, message):
    with pytest.raises(ValueError, match=message):
        topic_coherence(topics, counts)
