"""The folder of kept images."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.capture.folder import Capture, CaptureFolder
from app.errors import UnknownCapture
from tests.full_disk import full_disk

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SCORE = {"class_id": 1, "label": "Tür", "probability": 0.25}
SEEN = Capture("gate", "uncertain", (SCORE,))
RECORD_BYTES = 170  # of SEEN, roughly


def opened(path: Path, **changes: Any) -> CaptureFolder:
    return CaptureFolder(path, **{"limit_bytes": 10**6, "max_age_h": 24.0, **changes})


def add(folder: CaptureFolder, *images: bytes, now: datetime = NOON) -> list[str]:
    found = [folder.add(image, SEEN, "jpg", now) for image in images]
    return [each.id for each in found if each is not None]


def ids(folder: CaptureFolder) -> list[str]:
    return [each.id for each in folder.newest(100)]


def test_a_kept_image_is_there_after_a_restart_with_why_it_was_kept(tmp_path: Path) -> None:
    [first, second] = add(opened(tmp_path), b"one", b"second")
    folder = opened(tmp_path)
    newest, oldest = folder.newest(10)
    assert (first, second) == ("20261130T120000000000Z", "20261130T120000000001Z")
    assert oldest == Capture("gate", "uncertain", (SCORE,), first, 3)
    assert oldest.created == NOON
    assert (newest.id, newest.image_bytes, folder.read(second)) == (second, 6, b"second")
    assert folder.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_pages_go_from_the_newest_to_the_oldest(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    names = add(folder, b"1", b"2", b"3", b"4")
    page = folder.newest(2)
    assert [each.id for each in page] == [names[3], names[2]]
    assert [each.id for each in folder.newest(9, page[-1].id)] == [names[1], names[0]]


def test_the_oldest_leave_for_new_ones_at_the_limit(tmp_path: Path) -> None:
    folder = opened(tmp_path, limit_bytes=3 * (1000 + RECORD_BYTES))
    names = add(folder, *[bytes([number]) * 1000 for number in range(5)])
    assert ids(folder) == names[:1:-1]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= folder.limit_bytes
    assert add(folder, bytes(folder.limit_bytes)) == []
    assert ids(folder) == names[:1:-1]


def test_old_images_leave(tmp_path: Path) -> None:
    folder = opened(tmp_path, max_age_h=2)
    [old] = add(folder, b"old")
    [new] = add(folder, b"new", now=NOON + timedelta(hours=1))
    folder.remove_old(NOON + timedelta(hours=2))
    assert ids(folder) == [new, old]
    folder.remove_old(NOON + timedelta(hours=2, seconds=1))
    assert ids(folder) == [new]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{new}.jpg", f"{new}.json"]


def test_the_order_survives_a_clock_that_goes_back(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    names = [*add(folder, b"1"), *add(folder, b"2", now=NOON - timedelta(days=1))]
    assert ids(folder) == names[::-1]


def test_one_or_all_can_be_removed(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    names = add(folder, b"1", b"2", b"3")
    folder.remove(names[1])
    assert ids(folder) == [names[2], names[0]]
    for gone in (names[1], "../secret", "20261130T120000000009Z"):
        with pytest.raises(UnknownCapture, match="No kept image has the id"):
            folder.read(gone)
        with pytest.raises(UnknownCapture):
            folder.remove(gone)
    folder.clear()
    assert list(tmp_path.iterdir()) == []
    assert folder.size_bytes == 0


def test_the_remains_of_a_kill_or_a_power_cut_are_removed_and_other_files_stay(
    tmp_path: Path,
) -> None:
    [whole] = add(opened(tmp_path), b"whole")
    remains = (
        "20261130T120000000010Z.part",
        "20261130T120000000011Z.jpg",
        "20261130T120000000012Z.json",
    )
    for name in remains:
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "20261130T120000000013Z.jpg").write_bytes(b"image")
    (tmp_path / "20261130T120000000013Z.json").write_bytes(b"")  # its blocks were not written
    others = {"notes.txt", "20269930T120000000013Z.jpg"}
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    folder = opened(tmp_path)
    assert ids(folder) == [whole]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{whole}.jpg", f"{whole}.json"} | others


def test_a_damaged_record_hides_only_its_own_image(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    [first, second] = add(folder, b"1", b"2")
    (tmp_path / f"{second}.json").write_text("{")
    assert ids(folder) == [first]


@pytest.mark.parametrize("room_bytes", [0, 100, 1010])  # nothing, half the image, half the record
def test_a_full_disk_leaves_no_trace(tmp_path: Path, room_bytes: int) -> None:
    folder = opened(tmp_path)
    with full_disk(room_bytes), pytest.raises(OSError, match="File too large"):
        folder.add(bytes(1000) if room_bytes < 1000 else b"i", _long_record(), "jpg", NOON)
    assert list(tmp_path.iterdir()) == []
    assert folder.newest(9) == []


def _long_record() -> Capture:
    return Capture("gate" * 1000, "audit", ())
