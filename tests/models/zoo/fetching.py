"""Files that a publisher has, as entries of the zoo, and what fetching them gives."""

import hashlib
from dataclasses import replace
from pathlib import Path

from pydantic import HttpUrl

from models.zoo.fetch import Fetcher
from models.zoo.records import FileOrigin, UrlOrigin, ZooFile
from models.zoo.zoo import Entry, find
from tests.models.publisher import CONTENT, Habit, Publisher

NAME = "weights.bin"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def pinned(*origins: FileOrigin) -> ZooFile:
    return ZooFile(sha256=SHA256, file_bytes=len(CONTENT), licence="MIT", origins=origins)


def published(publisher: Publisher, *habits: Habit) -> ZooFile:
    return pinned(*(UrlOrigin(url=HttpUrl(publisher.address(habit))) for habit in habits))


def fetch(cache: Path, file: ZooFile) -> bytes:
    path = Fetcher(cache).file(NAME, file)
    assert path == cache / NAME
    return path.read_bytes()


def leave_part(cache: Path, content: bytes) -> Path:
    cache.mkdir(parents=True)
    part = cache / f"{NAME}.part"
    part.write_bytes(content)
    return part


def unpinned(publisher: Publisher, *habits: Habit) -> Entry:
    """An entry of one file that its publisher gives no hash of."""
    file = published(publisher, *habits).model_copy(update={"sha256": None, "file_bytes": None})
    return replace(find("mobilenet_v1_0.25_128"), files={NAME: file})


def pull(entry: Entry, fetcher: Fetcher, fails: Exception | None = None) -> bytes:
    """What the command line does: fetch, make something of it, or fail at that."""
    with fetcher.recording_hashes(entry):
        [path] = fetcher.locate(entry)
        if fails:
            raise fails
    return path.read_bytes()
