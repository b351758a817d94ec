"""From texts to bags of words.

Shapes: N texts of a split; V words of the vocabulary.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from hfvae_runner.errors import DataError

WORD = r"[a-z]{2,}"
"""A word, in lower case: two letters or more. What stands between them separates: don't is "don" and a lone t."""

_LARGEST_LIST = 1_000_000

# Words with a content of their own, which scikit-learn's list has too; HFVAE's Fig. 6 shows "fire" as a topic's word.
_CONTENT = frozenset(
    {"bill", "computer", "cry", "detail", "fill", "fire", "interest", "mill", "serious", "sincere", "system"}
)
# What is left of a contraction at its apostrophe; without "won", which is a word of sports, too.
_CONTRACTED = frozenset(
    {"ain", "aren", "couldn", "didn", "doesn", "don", "hadn", "hasn", "haven", "isn", "mustn", "needn", "shouldn"}
    | {"wasn", "weren", "wouldn", "ll", "ve"}
)


def english_stop_words() -> frozenset[str]:
    """scikit-learn's English list of 318 words, less those with a content, and with the parts of contractions."""
    return frozenset(ENGLISH_STOP_WORDS) - _CONTENT | _CONTRACTED


def listed_stop_words(file: Path) -> frozenset[str]:
    """Return the words of a list in a text file; an entry that is no word, such as "don't", stands for its parts.

    Raises:
        DataError: the file is missing, or no list of words.
    """
    expected = "expected a text of stop words, such as Mallet's en.txt, or stop_words=english"
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_LIST + 1)
        text = content.decode()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); {expected}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file} is no text in UTF-8; {expected}") from None
    words = frozenset(re.findall(WORD, text.lower()))
    if not words or len(content) > _LARGEST_LIST:
        what = f"more than {_LARGEST_LIST:,} bytes" if words else "no word"
        raise DataError(f"{file} holds {what}; {expected}")
    return words


def bags_of_words(
    train: Sequence[str], test: Sequence[str], *, size: int, min_texts: int, stop_words: frozenset[str]
) -> tuple[csr_matrix, csr_matrix, tuple[str, ...]]:
    """Return how often each word of the vocabulary is in each text, [N, V] for both splits, and the vocabulary.

    Args:
        train: the texts that choose the vocabulary.
        test: texts counted with that vocabulary.
        size: V at most: the words that occur most often, the most frequent first, equals in alphabetical order.
        min_texts: in how many training texts a word must be.
        stop_words: words left out.
    """
    # Any of scikit-learn's defaults that shapes the bag is named here, so that a release cannot change the data set.
    options: dict[str, Any] = {"token_pattern": WORD, "lowercase": True, "dtype": np.int64}
    try:
        every = CountVectorizer(stop_words=sorted(stop_words), **options)
        counts = every.fit_transform(train).tocsc()
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return csr_matrix((len(train), 0)), csr_matrix((len(test), 0)), ()
    in_texts = np.diff(counts.indptr)
    total = np.asarray(counts.sum(axis=0)).ravel()
    frequent = np.flatnonzero(in_texts >= min_texts)
    # scikit-learn's own limit breaks ties by an unstable sort.
    chosen = frequent[np.argsort(-total[frequent], kind="stable")[:size]]
    vocabulary = tuple(every.get_feature_names_out()[chosen].tolist())
    if not vocabulary:
        return csr_matrix((len(train), 0)), csr_matrix((len(test), 0)), ()
    in_test = CountVectorizer(vocabulary=vocabulary, **options).transform(test)
    return counts[:, chosen].tocsr(), in_test.tocsr(), vocabulary
