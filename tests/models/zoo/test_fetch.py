"""Getting pinned files: from folders, from addresses in order, out of archives."""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import HttpUrl

from models.zoo.fetch import Fetcher, FetchError, Pin, WrongHash, verify
from models.zoo.records import ArchiveOrigin, UrlOrigin, ZooFile
from models.zoo.zoo import DEFAULT_MODEL, find
from tests.full_disk import full_disk
from tests.models.publisher import CONTENT, Habit, Publisher, publishing
from tests.models.zoo.fetching import NAME, SHA256, fetch, pinned, published


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


def test_models_of_one_checkpoint_fetch_it_once(publisher: Publisher, cache: Path) -> None:
    float_model, int8 = find(DEFAULT_MODEL), find(f"{DEFAULT_MODEL}_ptq")
    assert int8.files == float_model.files
    served = {NAME: published(publisher, "whole")}
    for entry in (float_model, int8):
        [path] = Fetcher(cache).locate(replace(entry, files=served))
        assert path.read_bytes() == CONTENT
    assert [habit for habit, _ in publisher.asked] == ["whole"]


def archived(publisher: Publisher, habit: Habit, member: str = NAME) -> ZooFile:
    return pinned(ArchiveOrigin(archive=HttpUrl(publisher.address(habit)), member=member))


def test_a_file_is_extracted_from_an_archive_and_the_rest_deleted(
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
    assert f"{NAME} could not be fetched" in text
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


def test_a_local_folder_replaces_the_network(
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


def test_offline_makes_no_request_and_says_so(publisher: Publisher, cache: Path) -> None:
    fetcher = Fetcher(cache, offline=True)
    with pytest.raises(FetchError, match="no download was tried"):
        fetcher.file(NAME, published(publisher, "whole"))
    assert publisher.asked == []


@pytest.mark.parametrize("offline", [False, True])
def test_a_file_without_an_address_says_so(offline: bool, cache: Path) -> None:
    with pytest.raises(FetchError, match="has no public address"):
        Fetcher(cache, offline=offline).file(NAME, pinned())


def test_all_files_of_an_entry_are_located_in_order(cache: Path, published_weights: Path) -> None:
    entry = find("mobilenet_v1_1.0_224_int8")
    paths = Fetcher(cache, (published_weights,), offline=True).locate(entry)
    assert [path.name for path in paths] == list(entry.files)
    assert len(paths) == 2
    for path, file in zip(paths, entry.files.values(), strict=True):
        assert file.sha256
        verify(path, Pin(file.sha256))
        assert path.stat().st_size == file.file_bytes


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["pinned", "unpinned"])
def test_two_that_pull_at_once_download_once(
    sha256: str | None, publisher: Publisher, cache: Path
) -> None:
    file = published(publisher, "slow").model_copy(update={"sha256": sha256})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, cache, file)
        while not publisher.asked:
            wait([first], 0.01)
        second = pool.submit(fetch, cache, file)
        wait([second], 0.2)
        publisher.go.set()
        assert first.result() == second.result() == CONTENT
    assert publisher.asked == [("slow", None)]
    assert list(cache.iterdir()) == [cache / NAME]


@pytest.mark.parametrize("where", ["file", "archive", "member"])
def test_a_full_disk_is_said_with_the_file_and_no_other_origin_is_asked(
    where: str, publisher: Publisher, cache: Path
) -> None:
    file = published(publisher, "whole", "whole") if where == "file" else archived(
        publisher, "archived"
    )  # fmt: skip
    room = 100 if where == "archive" else 100_000  # the archive is small, what is in it is not
    with full_disk(room), pytest.raises(OSError, match="File too large") as caught:
        fetch(cache, file)
    assert caught.value.filename == str(cache / f"{NAME}.part")
    assert len(publisher.asked) == 1
    assert not (cache / NAME).exists()
    assert fetch(cache, file) == CONTENT
