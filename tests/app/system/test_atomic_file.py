"""Files that are replaced atomically, and the lock of a folder."""

import errno
import fcntl
import os
import re
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest

from app.system.atomic_file import atomic_write, folder_lock
from tests.full_disk import full_disk
from tests.processes import LIVELINESS_S


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a name [with] ü.bin"
    with atomic_write(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut right after the rename would leave an empty file."""
    path, synced = tmp_path / "file", []
    actual = os.fsync

    def watched(descriptor: int) -> None:
        actual(descriptor)
        synced.append((os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", watched)
    with atomic_write(path) as file:
        file.write(b"whole")
    assert synced == [(5, False)]


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_older_file_and_nothing_else(
    end: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older")

    def write() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise end

    with pytest.raises(end):
        write()
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with (
        full_disk(1000),
        pytest.raises(OSError, match=re.escape(str(path))),
        atomic_write(path) as file,
    ):
        file.write(bytes(100_000))
    assert list(tmp_path.iterdir()) == []


def test_two_processes_take_turns_and_the_second_is_reported_to_wait(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    told: SimpleQueue[Path] = SimpleQueue()
    entered = []

    def enter() -> None:
        with folder_lock(folder, told.put):
            entered.append("second")

    other = Thread(target=enter)
    with folder_lock(folder, told.put):
        other.start()
        assert told.get(timeout=LIVELINESS_S) == folder
        entered.append("first")
    other.join()
    assert entered == ["first", "second"]
    assert told.empty()


def test_a_file_system_without_locks_makes_no_process_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, which refuses a lock on a folder."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with folder_lock(tmp_path / "folder"):
        assert (tmp_path / "folder").is_dir()
