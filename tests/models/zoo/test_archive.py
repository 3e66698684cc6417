"""Taking one file out of an archive that anybody may have made."""

import gzip
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.zoo.archive import ArchiveError, extract_member
from tests.models.publisher import archive

CONTENT = bytes(range(256)) * 8
LIMIT = 10_000


def take(folder: Path, content: bytes, member: str = "model.tflite") -> bytes:
    path, target = folder / "archive.tgz", folder / "out"
    path.write_bytes(content)
    extract_member(path, member, target, LIMIT)
    return target.read_bytes()


def special(kind: bytes, link: str = "", size: int = 0) -> bytes:
    """An archive whose `model.tflite` is something else than a plain file, or claims a size."""
    entry = tarfile.TarInfo("model.tflite")
    entry.type, entry.linkname, entry.size = kind, link, size
    end = bytes(tarfile.RECORDSIZE - tarfile.BLOCKSIZE)
    return gzip.compress(entry.tobuf() + end)


@pytest.mark.parametrize("name", ["model.tflite", "./model.tflite"])
def test_the_member_is_found_however_the_archive_spells_its_folder(
    tmp_path: Path, name: str
) -> None:
    files = {"graph.pb": b"more", "folder/model.tflite": b"another", name: CONTENT}
    assert take(tmp_path, archive(files)) == CONTENT
    assert take(tmp_path, archive(files), "folder/model.tflite") == b"another"


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    files = {"../evil": b"1", "/tmp/evil": b"2", "model.tflite": CONTENT}  # noqa: S108  # never written
    assert take(tmp_path / "in", archive(files)) == CONTENT
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(archive({"other": CONTENT}), "has no model.tflite", id="missing"),
        pytest.param(archive({"model.tflite": bytes(LIMIT + 1)}), "more than 10000", id="long"),
        pytest.param(special(tarfile.SYMTYPE, "/etc/passwd"), "has no model", id="symbolic link"),
        pytest.param(special(tarfile.LNKTYPE, "/etc/passwd"), "has no model", id="hard link"),
        pytest.param(special(tarfile.FIFOTYPE), "has no model", id="pipe"),
        pytest.param(special(tarfile.DIRTYPE), "has no model", id="folder"),
        pytest.param(special(tarfile.REGTYPE, size=1 << 40), "unpacks to more", id="bomb"),
        pytest.param(special(tarfile.REGTYPE, size=9_900), "is damaged", id="cut off"),
        pytest.param(b"", "is damaged", id="empty"),
        pytest.param(b"<html>no such file</html>", "is damaged", id="a page"),
        pytest.param(archive({"model.tflite": CONTENT})[:-200], "is damaged", id="half"),
        pytest.param(gzip.compress(CONTENT), "is damaged", id="no tar in it"),
    ],
)
def test_an_archive_without_the_file_is_rejected(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(ArchiveError, match=reason):
        take(tmp_path, content)


WHOLE = archive({"a": b"before", "model.tflite": CONTENT, "b": b"behind"})


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_archive_gives_the_file_or_is_rejected(
    scratch: Path, data: st.DataObject
) -> None:
    content = bytearray(gzip.decompress(WHOLE))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 2000))] = data.draw(st.integers(0, 255))
    try:
        assert len(take(scratch, gzip.compress(bytes(content), 1))) <= LIMIT
    except ArchiveError:
        return
