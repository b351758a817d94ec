"""20NewsGroups: 18,846 messages to twenty groups of 1993, as bags of words, split by date (Lang 1995; Rennie's copy).

HFVAE (Sec. 5.2, App. D) counts 2000 words and removes Mallet's stop words. The words that it shows for its topics
include those of headers ("subject", "lines", "organization"), and some look lemmatised ("turk", "civilian", "soldier");
here words are counted as they are written.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset, Split, reduced
from hfvae_runner.data._examples import SparseCounts
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._newsgroups import GROUPS, MESSAGES, Part, read_messages
from hfvae_runner.data._text import bags_of_words, english_stop_words, listed_stop_words
from hfvae_runner.errors import ConfigError, DataError, nearest

FILES = (
    # scikit-learn's address and checksum.
    RemoteFile(
        "20news-bydate.tar.gz",
        urls=("https://ndownloader.figshare.com/files/5975967",),
        sha256="8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
        limit=2**27,
    ),
)

TOPICS = {
    "Atheism": ("alt.atheism",),
    "Computer": (
        "comp.graphics",
        "comp.os.ms-windows.misc",
        "comp.sys.ibm.pc.hardware",
        "comp.sys.mac.hardware",
        "comp.windows.x",
    ),
    "Forsale": ("misc.forsale",),
    "Autos": ("rec.autos", "rec.motorcycles"),
    "Sports": ("rec.sport.baseball", "rec.sport.hockey"),
    "Encryption": ("sci.crypt",),
    "Electronics": ("sci.electronics",),
    "Medical": ("sci.med",),
    "Space": ("sci.space",),
    "Politics and Religion": (
        "talk.politics.misc",
        "talk.politics.guns",
        "talk.politics.mideast",
        "talk.religion.misc",
        "soc.religion.christian",
    ),
}
"""The ten grouped topics of HFVAE's Table 9, in its order, and their groups."""

Headers = Literal["keep", "strip"]

# Encoded files are lines without a gap. Some 40 messages are so full of them that "ax", which encodes a run of zeros,
# would be the most frequent word of all.
_ENCODED_LINE = re.compile(r"^\S{40,}$", re.MULTILINE)
_VERSION = 1  # of what is cached


def newsgroups20(
    *,
    root: str,
    download: bool,
    vocabulary_size: int,
    min_documents: int,
    headers: Headers,
    stop_words: str,
    subset: int | None = None,
) -> Dataset:
    """Word counts [V], the 20 groups as labels, and the ten grouped topics of HFVAE's Table 9 as attributes.

    Lines of 40 characters or more without a gap, which are encoded files, are left out, and so is a message without
    any word of the vocabulary: ``notes`` counts those.

    Args:
        root: the folder that holds 20news-bydate.tar.gz, ``data_root``.
        download: whether a missing archive may be fetched.
        vocabulary_size: V, the words that are most frequent in the training messages.
        min_documents: in how many training messages a word must be.
        headers: ``keep`` counts a message's header too; ``strip`` leaves out all before its first empty line.
        stop_words: ``english``, see ``english_stop_words``, or a text file of words, its name taken from ``root``.
        subset: how many random training messages to keep, see ``reduced``; the vocabulary is that of all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the archive or the list of stop words is missing or malformed.
    """
    _check(root, vocabulary_size, min_documents, headers, stop_words)
    folder = Path(root)
    words = english_stop_words() if stop_words == "english" else listed_stop_words(folder / stop_words)
    (archive,) = ensure(folder, FILES, dataset="newsgroups20", download=download)

    def build(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **_counted(archive, vocabulary_size, min_documents, headers, words))

    key = (checksum(folder, [archive]), vocabulary_size, min_documents, headers, sorted(words), _VERSION)
    stored = _load(cached(folder, "newsgroups20.npz", key, build))
    train, test = (_split(stored, part) for part in MESSAGES)
    empty = [MESSAGES["train"] - len(train), MESSAGES["test"] - len(test)]
    list_name = "scikit-learn's list, adapted" if stop_words == "english" else stop_words
    dataset = Dataset(
        train,
        test,
        values="counts",
        label_names=GROUPS,
        vocabulary=tuple(stored["vocabulary"].tolist()),
        attribute_names=tuple(TOPICS),
        notes={
            "words": f"the {vocabulary_size} most frequent words of those in {min_documents} training messages or "
            f"more; headers {'kept' if headers == 'keep' else 'stripped'}, encoded files left out",
            "stop_words": f"{len(words)} of {list_name}; HFVAE used Mallet's list of 524",
            "empty_documents": f"{empty[0]} training and {empty[1]} test messages have no word of the vocabulary "
            "and are left out",
        },
    )
    return reduced(dataset, subset)


def _check(root: object, vocabulary_size: object, min_documents: object, headers: object, stop_words: object) -> None:
    if not isinstance(root, str):
        raise ConfigError(f"dataset.root={root!r}: expected the name of a folder")
    for key, count in {"vocabulary_size": vocabulary_size, "min_documents": min_documents}.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"dataset.{key}={count!r}: expected a whole number from 1 on")
    if headers not in get_args(Headers):
        raise ConfigError(f"dataset.headers={headers!r}: expected keep or strip{nearest(headers, get_args(Headers))}")
    if not isinstance(stop_words, str) or not stop_words:
        raise ConfigError(f"dataset.stop_words={stop_words!r}: expected english or the name of a text file")


def _counted(
    archive: Path, vocabulary_size: int, min_documents: int, headers: Headers, stop_words: frozenset[str]
) -> dict[str, NDArray[Any]]:
    """Return the word counts of both parts by rows, without empty ones, their groups, and the vocabulary."""
    messages = read_messages(archive)
    texts = {part: [_cleaned(each.text, headers) for each in messages if each.part == part] for part in MESSAGES}
    *parts, vocabulary = bags_of_words(
        texts["train"], texts["test"], size=vocabulary_size, min_texts=min_documents, stop_words=stop_words
    )
    if len(vocabulary) < vocabulary_size:
        raise ConfigError(
            f"dataset.vocabulary_size={vocabulary_size}: {len(vocabulary)} words are in "
            f"dataset.min_documents={min_documents} training messages or more; expected a smaller number of either"
        )
    stored: dict[str, NDArray[Any]] = {"vocabulary": np.array(vocabulary)}
    for part, counts in zip(MESSAGES, parts, strict=True):
        groups = np.array([each.group for each in messages if each.part == part])
        filled = np.flatnonzero(np.diff(counts.indptr))
        if not len(filled):
            raise DataError(f"{archive} holds no {part} message with a word of the vocabulary; expected thousands")
        counts = counts[filled]
        stored |= {
            f"{part}_starts": counts.indptr.astype(np.int64),
            f"{part}_columns": counts.indices.astype(np.int64),
            f"{part}_counts": counts.data.astype(np.float32),
            f"{part}_groups": groups[filled].astype(np.int64),
        }
    return stored


def _cleaned(text: str, headers: Headers) -> str:
    body = text.partition("\n\n")[2] if headers == "strip" else text
    return _ENCODED_LINE.sub("", body)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is malformed ({error}); expected the cached word counts: remove it") from None


def _split(stored: Mapping[str, NDArray[Any]], part: Part) -> Split:
    starts, columns, counts, groups = (
        torch.from_numpy(stored[f"{part}_{name}"]) for name in ("starts", "columns", "counts", "groups")
    )
    of_topic = torch.tensor([[group in topic for topic in TOPICS.values()] for group in GROUPS])
    bags = SparseCounts(starts, columns, counts, len(stored["vocabulary"]))
    return Split(bags, labels=groups, attributes=of_topic[groups])
