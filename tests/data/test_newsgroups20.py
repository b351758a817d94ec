"""20NewsGroups: the published archive's format, on small archives written here, and the published one where it is."""

import gzip
import io
import os
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hfvae_runner.data import Dataset, Split, _newsgroups, newsgroups20
from hfvae_runner.data._newsgroups import GROUPS, MESSAGES, read_messages
from hfvae_runner.data._text import english_stop_words
from hfvae_runner.errors import ConfigError, DataError

TRAIN = {
    "alt.atheism/51119": "From: a@b.edu\nSubject: faith\n\nReason and faith; FAITH\n",
    "rec.autos/7": "From: c@d.edu\nSubject: engines\n\nThe engine didn't start. engine\n",
    "rec.autos/12": "From: c@d.edu\nSubject: engines\n\nfaith in the engine, reason in the brakes\n",
    "talk.politics.guns/3": "Subject: files\n\nbegin\nM>AX>AX>AX>AX>AX>AX>AX>AX>AX>AX>AX>AX>AX\nreason\n",
    "sci.space/1": "Subject: \xe9t\xe9\n\n!!!\n",
}
TEST = {
    "rec.autos/9": "Subject: x\n\nbrakes brakes engine reason\n",
    "sci.med/2": "Subject: y\n\nmedicine\n",
}


def tarred(members: Mapping[str, str | bytes], *, kind: bytes = tarfile.REGTYPE, prefix: str = "") -> bytes:
    """A .tar.gz of files by full name; folders first, as the published one has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for folder in sorted({str(Path(name).parent) for name in members}):
            entry = tarfile.TarInfo(prefix + folder + "/")
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, text in members.items():
            content = text if isinstance(text, bytes) else text.encode("latin-1")
            entry = tarfile.TarInfo(prefix + name)
            entry.size, entry.type = len(content), kind
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def published(train: Mapping[str, str] = TRAIN, test: Mapping[str, str] = TEST) -> dict[str, str | bytes]:
    parts = {"train": train, "test": test}
    return {f"20news-bydate-{part}/{name}": text for part, texts in parts.items() for name, text in texts.items()}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MESSAGES, "train", len(TRAIN))
    monkeypatch.setitem(MESSAGES, "test", len(TEST))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    (root / "20news-bydate.tar.gz").write_bytes(tarred(published()))
    return root


def load(root: Path, **options: Any) -> Dataset:
    defaults = {"vocabulary_size": 3, "min_documents": 1, "headers": "strip", "stop_words": "english"}
    return newsgroups20.newsgroups20(root=str(root), download=False, **(defaults | options))


def bags(split: Split, dataset: Dataset) -> list[dict[str, int]]:
    assert dataset.vocabulary is not None
    dense = split.x[torch.arange(len(split))]
    assert dense.dtype == torch.float32
    return [{dataset.vocabulary[v]: int(row[v]) for v in row.nonzero()[:, 0]} for row in dense]


def test_messages_become_counts_of_the_most_frequent_words(root: Path) -> None:
    dataset = load(root)
    assert dataset.vocabulary == ("engine", "faith", "reason")
    assert (dataset.values, dataset.input_shape, dataset.n_classes) == ("counts", (3,), 20)
    # By group and number, whatever the order in the archive; the message without a word is gone.
    assert bags(dataset.train, dataset) == [
        {"faith": 2, "reason": 1},
        {"engine": 2},
        {"engine": 1, "faith": 1, "reason": 1},
        {"reason": 1},
    ]
    assert dataset.train.labels is not None and dataset.label_names is not None
    assert [dataset.label_names[label] for label in dataset.train.labels] == [
        "alt.atheism",
        "rec.autos",
        "rec.autos",
        "talk.politics.guns",
    ]


def test_an_empty_message_is_left_out_and_counted(root: Path) -> None:
    dataset = load(root)
    assert bags(dataset.test, dataset) == [{"engine": 1, "reason": 1}]
    assert dataset.test.labels is not None
    assert dataset.test.labels.tolist() == [GROUPS.index("rec.autos")]
    assert dataset.notes["empty_documents"].startswith("1 training and 1 test messages")


def test_headers_are_kept_on_demand(root: Path) -> None:
    assert "edu" not in (load(root, vocabulary_size=5).vocabulary or ())
    dataset = load(root, headers="keep", vocabulary_size=8)
    assert {"edu", "subject", "engines"} <= set(dataset.vocabulary or ())
    assert bags(dataset.train, dataset)[0]["faith"] == 3
    assert len(dataset.train) == 5
    assert dataset.notes["words"].endswith("headers kept, encoded files left out")


def test_encoded_lines_are_no_words(root: Path) -> None:
    vocabulary = load(root, vocabulary_size=6).vocabulary
    assert vocabulary is not None
    assert "ax" not in vocabulary
    assert "begin" in vocabulary


def test_the_training_messages_alone_choose_the_vocabulary(root: Path) -> None:
    assert set(load(root, vocabulary_size=6).vocabulary or ()) == {
        "engine",
        "faith",
        "reason",
        "begin",
        "brakes",
        "start",
    }


def test_equally_frequent_words_come_in_alphabetical_order(root: Path) -> None:
    assert load(root, vocabulary_size=5).vocabulary == ("engine", "faith", "reason", "begin", "brakes")


def test_a_word_must_be_in_so_many_messages(root: Path) -> None:
    # "engine" is in two messages, three times.
    assert load(root, min_documents=3, vocabulary_size=1).vocabulary == ("reason",)


def test_contractions_leave_no_words(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"6 words are in dataset\.min_documents=1 training messages or more"):
        load(root, vocabulary_size=7)
    assert {"didn", "don", "the", "and"} <= english_stop_words()
    assert not {"fire", "system", "won"} & english_stop_words()


def test_a_list_of_stop_words_of_ones_own(root: Path) -> None:
    (root / "en.txt").write_text("engine\ndidn't\nThe\nin\n\nand\n", encoding="utf-8")
    dataset = load(root, stop_words="en.txt")
    assert dataset.vocabulary == ("faith", "reason", "begin")
    assert dataset.notes["stop_words"].startswith("5 of en.txt")
    (root / "en.txt").write_text("faith\nengine\nthe\nin\nand\nbegin\ndidn\n", encoding="utf-8")
    assert load(root, stop_words=str(root / "en.txt")).vocabulary == ("reason", "brakes", "start")


@pytest.mark.parametrize(("content", "what"), [(None, "cannot be read"), (b"\xff\xfe", "no text"), (b"1 2", "no word")])
def test_a_malformed_list_of_stop_words(root: Path, content: bytes | None, what: str) -> None:
    if content is not None:
        (root / "en.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"en\.txt.*{what}.*expected a text of stop words"):
        load(root, stop_words="en.txt")


def test_the_grouped_topics_are_those_of_table_9() -> None:
    assert sorted(group for topic in newsgroups20.TOPICS.values() for group in topic) == list(GROUPS)
    assert [len(groups) for groups in newsgroups20.TOPICS.values()] == [1, 5, 1, 2, 2, 1, 1, 1, 1, 5]


def test_the_grouped_topics_are_attributes(root: Path) -> None:
    dataset = load(root)
    assert dataset.attribute_names is not None and dataset.train.attributes is not None
    assert dataset.train.attributes.dtype == torch.bool
    assert [
        [name for name, true in zip(dataset.attribute_names, row, strict=True) if true]
        for row in dataset.train.attributes.tolist()
    ] == [["Atheism"], ["Autos"], ["Autos"], ["Politics and Religion"]]


def test_the_second_time_the_counts_are_read_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(root)
    monkeypatch.setattr(newsgroups20, "read_messages", lambda archive: pytest.fail("read again"))
    again = load(root)
    assert again.vocabulary == first.vocabulary
    assert again.notes == first.notes
    for name in ("train", "test"):
        one, other = getattr(first, name), getattr(again, name)
        assert bags(one, first) == bags(other, again)
        assert torch.equal(one.labels, other.labels)


def test_a_part_of_the_messages_has_the_words_of_all(root: Path) -> None:
    whole, part = load(root), load(root, subset=2)
    assert (len(part.train), len(part.test), part.vocabulary) == (2, 1, whole.vocabulary)
    assert all(bag in bags(whole.train, whole) for bag in bags(part.train, part))
    assert part.notes["subset"].startswith("2 random examples of 4")
    assert part.notes["words"] == whole.notes["words"]


@pytest.mark.parametrize("option", [{"headers": "keep"}, {"vocabulary_size": 2}, {"min_documents": 2}])
def test_other_options_have_counts_of_their_own(root: Path, option: dict[str, Any]) -> None:
    load(root)
    (first,) = (root / "converted").glob("newsgroups20-*.npz")
    load(root, **option)
    assert len(list((root / "converted").glob("newsgroups20-*.npz"))) == 2
    assert first.exists()


def test_a_spoilt_cache_is_named(root: Path) -> None:
    load(root)
    (stored,) = (root / "converted").glob("newsgroups20-*.npz")
    stored.write_bytes(stored.read_bytes()[:100])
    with pytest.raises(DataError, match=r"newsgroups20-.*\.npz is malformed.*remove it"):
        load(root)


@pytest.mark.parametrize("prefix", ["", "./"])
def test_messages_in_any_order_and_encoding(tmp_path: Path, prefix: str) -> None:
    members = published()
    backwards = dict(reversed(members.items()))
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(tarred(backwards, prefix=prefix))
    messages = read_messages(archive)
    assert [(each.part, GROUPS[each.group], each.number) for each in messages] == [
        ("test", "rec.autos", 9),
        ("test", "sci.med", 2),
        ("train", "alt.atheism", 51119),
        ("train", "rec.autos", 7),
        ("train", "rec.autos", 12),
        ("train", "sci.space", 1),
        ("train", "talk.politics.guns", 3),
    ]
    assert messages[5].text == TRAIN["sci.space/1"]


def refusal(root: Path, content: bytes) -> str:
    (root / "20news-bydate.tar.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(root)
    message = str(caught.value)
    assert "\n" not in message
    assert str(root / "20news-bydate.tar.gz") in message
    assert "scripts/fetch_data.py newsgroups20" in message
    assert not list((root / "converted").glob("newsgroups20-*.npz"))
    return message


def without(name: str) -> dict[str, str | bytes]:
    return {key: text for key, text in published().items() if key != name}


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "20news-bydate-train/../../x/1",
        "20news-bydate-train/rec.autos/readme",
        "20news-bydate-train/alt.unknown/1",
        "20news-bydate-dev/rec.autos/1",
        "20news-bydate-train/rec.autos/7/8",
        "20news-bydate-train/rec.autos/7\n",
    ],
)
def test_a_member_that_is_no_message(root: Path, name: str) -> None:
    message = refusal(root, tarred(published() | {name: "x"}))
    assert f"holds the member {name!r}, which is no message" in message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_member_that_is_no_file(root: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("20news-bydate-train/rec.autos/7")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    assert "is no message" in refusal(root, buffer.getvalue())


def test_messages_that_are_missing(root: Path) -> None:
    assert "holds 4 train messages" in refusal(root, tarred(without("20news-bydate-train/rec.autos/7")))
    assert "holds 1 test messages" in refusal(root, tarred(without("20news-bydate-test/sci.med/2")))


def test_a_message_that_is_there_twice(root: Path) -> None:
    members = without("20news-bydate-train/rec.autos/12") | {"./20news-bydate-train/rec.autos/7": "x"}
    assert "holds 5 train messages, 1 of them twice" in refusal(root, tarred(members))


def test_a_message_that_is_too_long(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_newsgroups, "_LARGEST_MESSAGE", 100)
    long = published() | {"20news-bydate-train/rec.autos/7": b" " * 101}
    assert "of 101 bytes, too long for a message" in refusal(root, tarred(long))


def test_an_archive_that_unpacks_to_more_than_there_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_newsgroups, "_LARGEST_ARCHIVE", 30_000)
    bomb = published() | {"20news-bydate-train/rec.autos/7": b" " * 40_000}
    assert "holds more bytes than all its messages have" in refusal(root, tarred(bomb))


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", gzip.compress(b"not a tar"), tarred(published())[:-200], tarred(published())[:60]],
    ids=["empty", "html", "no tar", "cut off", "nearly nothing"],
)
def test_a_malformed_archive(root: Path, content: bytes) -> None:
    assert "is malformed" in (message := refusal(root, content)) or "holds 0 train messages" in message


def test_any_damage_is_noticed_or_harmless(root: Path) -> None:
    """Bytes of the tar itself, packed anew so that gzip's checksum says nothing."""
    whole = gzip.decompress(tarred(published()))
    path = root / "20news-bydate.tar.gz"
    path.write_bytes(tarred(published()))
    names = [message[:3] for message in read_messages(path)]
    generator = random.Random(0)
    for _ in range(300):
        spoilt = bytearray(whole)
        for _ in range(generator.choice([1, 1, 20])):
            spoilt[generator.randrange(len(spoilt))] = generator.randrange(256)
        path.write_bytes(gzip.compress(bytes(spoilt), 1))
        try:
            assert len(read_messages(path)) == len(names)
        except DataError as error:
            assert "\n" not in str(error)


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"20news-bydate\.tar\.gz is missing.*fetch_data\.py"):
        load(tmp_path)


def test_training_messages_without_words(root: Path) -> None:
    empty = dict.fromkeys(TRAIN, "Subject: x\n\n!\n")
    (root / "20news-bydate.tar.gz").write_bytes(tarred(published(train=empty)))
    with pytest.raises(ConfigError, match="vocabulary_size=3: 0 words"):
        load(root)


def test_test_messages_without_words(root: Path) -> None:
    empty = dict.fromkeys(TEST, "Subject: x\n\n!\n")
    (root / "20news-bydate.tar.gz").write_bytes(tarred(published(test=empty)))
    with pytest.raises(DataError, match="holds no test message with a word"):
        load(root)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"vocabulary_size": 0}, "dataset.vocabulary_size=0: expected a whole number from 1 on"),
        ({"vocabulary_size": 2.0}, r"dataset.vocabulary_size=2.0: expected a whole number"),
        ({"min_documents": True}, "dataset.min_documents=True: expected a whole number"),
        ({"headers": "stripp"}, "dataset.headers='stripp': expected keep or strip; did you mean 'strip'"),
        ({"stop_words": None}, "dataset.stop_words=None: expected english or the name"),
        ({"stop_words": ""}, "dataset.stop_words='': expected english or the name"),
    ],
)
def test_options_out_of_range(root: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(root, **option)


REAL = Path(os.environ.get("HFVAE_DATA", "data")) / "20news-bydate.tar.gz"


@pytest.mark.skipif(not REAL.is_file(), reason="20NewsGroups is not below HFVAE_DATA")
def test_the_real_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MESSAGES, "train", 11_314)
    monkeypatch.setitem(MESSAGES, "test", 7_532)
    # A folder of its own, so that the cache of the real one is neither read nor written.
    (tmp_path / REAL.name).symlink_to(REAL.resolve())
    dataset = load(tmp_path, vocabulary_size=2000, min_documents=20, headers="keep")
    assert dataset.train.x.shape == (11_314, 2000)
    assert dataset.test.x.shape == (7_532, 2000)
    assert dataset.train.labels is not None and dataset.test.labels is not None
    # The sizes that scikit-learn's loader has, in this order of the groups.
    assert torch.bincount(dataset.train.labels).tolist() == [
        *(480, 584, 591, 590, 578, 593, 585, 594, 598, 597, 600, 595, 591, 594, 593, 599, 546, 564, 465, 377),
    ]
    assert torch.bincount(dataset.test.labels)[[0, 1, 19]].tolist() == [319, 389, 251]
    vocabulary = set(dataset.vocabulary or ())
    assert {
        "jesus",
        "scripture",
        "hockey",
        "leafs",
        "scsi",
        "armenian",
        "fire",
        "subject",
        "organization",
    } <= vocabulary
    assert not {"ax", "giz", "bhj", "the", "don"} & vocabulary
    lengths = np.array([dataset.train.x[torch.tensor([i])].sum() for i in range(0, 11_314, 50)])
    assert 60 < lengths.mean() < 120
