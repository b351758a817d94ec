"""The archive of 20NewsGroups, read as a stream: 20news-bydate-train/GROUP/NUMBER, 20news-bydate-test/GROUP/NUMBER."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast

from hfvae_runner.errors import DataError

GROUPS = (
    "alt.atheism",
    "comp.graphics",
    "comp.os.ms-windows.misc",
    "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware",
    "comp.windows.x",
    "misc.forsale",
    "rec.autos",
    "rec.motorcycles",
    "rec.sport.baseball",
    "rec.sport.hockey",
    "sci.crypt",
    "sci.electronics",
    "sci.med",
    "sci.space",
    "soc.religion.christian",
    "talk.politics.guns",
    "talk.politics.mideast",
    "talk.politics.misc",
    "talk.religion.misc",
)

Part = Literal["train", "test"]

MESSAGES: dict[Part, int] = {"train": 11_314, "test": 7_532}
"""How many messages are in the published archive."""

_LARGEST_ARCHIVE = 400_000_000  # bytes once unpacked; the published one has 50 million
_LARGEST_MESSAGE = 2_000_000  # the published one's has 160,616
_MEMBER = re.compile(r"(?:\./)?20news-bydate-(train|test)/([^/]+)/([0-9]{1,9})")


class Message(NamedTuple):
    """One message: its part of the split, its group's place in GROUPS, its number there, and its text."""

    part: Part
    group: int
    number: int
    text: str


class _Unexpected(Exception):
    """What an archive holds and the published one does not."""


def read_messages(archive: Path) -> list[Message]:
    """Return all messages by part, group and number, whatever their order in the archive; nothing is unpacked to the
    disk.

    Raises:
        DataError: it is not the published set of messages.
    """
    expected = (
        "expected the 11,314 + 7,532 messages of the published archive: remove it and run "
        "`python scripts/fetch_data.py newsgroups20`"
    )
    try:
        messages = sorted(_members(archive))
        _count(messages)
    except _Unexpected as error:
        raise DataError(f"{archive} holds {error}; {expected}") from None
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise DataError(f"{archive} is malformed ({error}); {expected}") from None
    return messages


def _count(messages: list[Message]) -> None:
    for part, total in MESSAGES.items():
        found = [message[:3] for message in messages if message.part == part]
        twice = len(found) - len(set(found))
        if len(found) != total or twice:
            raise _Unexpected(f"{len(found):,} {part} messages" + (f", {twice:,} of them twice" if twice else ""))


class _Bounded:
    """A stream that ends in an error after so many bytes, since a small file may unpack to any size."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _Unexpected("more bytes than all its messages have")
        return data


def _members(archive: Path) -> Iterator[Message]:
    with gzip.open(archive) as unzipped:
        stream = cast(IO[bytes], _Bounded(unzipped, _LARGEST_ARCHIVE))
        with tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                if not member.isdir():
                    yield _message(members, member)


def _message(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Message:
    place = _MEMBER.fullmatch(member.name)
    if place is None or place[2] not in GROUPS or member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise _Unexpected(f"the member {member.name!r}, which is no message of the twenty groups")
    if member.size > _LARGEST_MESSAGE:
        raise _Unexpected(f"the member {member.name!r} of {member.size:,} bytes, too long for a message")
    content = archive.extractfile(member)
    assert content is not None  # None is for what is neither a file nor a link
    # The messages come in several encodings, which nothing declares; this one reads any bytes.
    return Message(cast(Part, place[1]), GROUPS.index(place[2]), int(place[3]), content.read().decode("latin-1"))
