"""Cameras beside a real service: from a source to an event."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from app.errors import NotFound, SettingError
from loadtest.cameras.scenes import plain
from tests.app.cameras.watched import SURE, next_event, put, until, watching
from tests.conftest import SMALL_V1


def test_a_new_file_in_a_folder_becomes_an_event(store: Path, tmp_path: Path) -> None:
    async def watch() -> None:
        put(tmp_path, "old.jpg", plain(10))
        async with watching(store, door={"source": str(tmp_path), **SURE}) as cameras:
            await until(lambda: cameras.status("door").connected, "connected")
            with cameras.subscribe() as listening:
                put(tmp_path, "new.jpg", plain(200))
                message = await next_event(listening)
            assert (message.camera, message.state, message.ended_at) == ("door", "start", None)
            assert message.model == SMALL_V1
            assert cameras.recent(5) == [message]
            status = cameras.status("door")
            assert (status.label, status.since) == (message.label, message.started_at)
            assert (status.frames_seen, status.frames_failed, status.error) == (1, 0, None)
            assert status.source.model_dump() == {"kind": "folder", "address": str(tmp_path)}
            assert cameras.newest_jpeg("door") == plain(200)

    asyncio.run(watch())


def test_a_folder_gives_no_file_from_elsewhere_and_none_that_is_not_an_image(
    store: Path, tmp_path: Path
) -> None:
    outside, folder = tmp_path / "outside.jpg", tmp_path / "folder"
    outside.write_bytes(plain(10))
    folder.mkdir()

    async def watch() -> None:
        async with watching(store, door={"source": str(folder), **SURE}) as cameras:
            await until(lambda: cameras.status("door").connected, "connected")
            (folder / "link.jpg").symlink_to(outside)
            os.mkfifo(folder / "pipe.jpg")
            put(folder, "note.txt", b"hello")
            (folder / "folder.jpg").mkdir()
            put(folder, "broken.jpg", b"\xff\xd8\xff but no image")
            await until(lambda: cameras.status("door").frames_failed, "a broken file")
            assert cameras.status("door").frames_seen == 1
            put(folder, "z.jpg", plain(99))
            await until(lambda: cameras.status("door").label, "a label")
            assert cameras.status("door").error is None

    asyncio.run(watch())


def test_a_folder_that_comes_back_is_watched_again(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    async def watch() -> None:
        async with watching(store, door={"source": str(folder), **SURE}) as cameras:
            await until(lambda: cameras.status("door").reconnects, "another attempt")
            status = cameras.status("door")
            assert not status.connected
            assert status.error == "Cannot read the folder: No such file or directory."
            folder.mkdir()
            await until(lambda: cameras.status("door").connected, "connected")
            put(folder, "a.jpg", plain(99))
            await until(lambda: cameras.status("door").label, "a label")

    asyncio.run(watch())


def test_an_unknown_model_or_camera_is_named(store: Path, tmp_path: Path) -> None:
    async def watch() -> None:
        wrong = {"source": str(tmp_path), "model": "gate", **SURE}
        async with watching(store, door=wrong) as cameras:
            await until(lambda: cameras.status("door").connected, "connected")
            put(tmp_path, "a.jpg", plain(99))
            await until(lambda: cameras.status("door").error, "an error")
            assert "Unknown model 'gate'" in (cameras.status("door").error or "")
            with pytest.raises(NotFound, match=r"Unknown camera 'gate'\. Cameras: door\."):
                cameras.status("gate")

    asyncio.run(watch())


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"sorce": "/pictures"}, "Unknown setting cameras.door.sorce. Did you mean source?"),
        ({"source": "ftp://host/"}, "cameras.door.source: unknown kind of address."),
        ({"source": "/proc/self"}, "cameras.door.source: neither a camera nor a folder"),
        ({"source": "/pictures", "rotation": 45}, "cameras.door.rotation: "),
        ({"source": "/pictures", "zone": [[0.5, 0, 0.6, 1]]}, "cameras.door.zone.0: left + width"),
        ({"source": "http://cam/", "password": "secret"}, "cameras.door: a password needs a user"),
        ({"source": "rtsp://a:secret@b c/"}, "cameras.door.source: no host, or spaces in it"),
        ({"source": "/pictures", "user": "secret"}, "cameras.door: user is for addresses with"),
    ],
)
def test_a_wrong_setting_of_a_camera_is_named_without_its_secrets(
    store: Path, table: dict[str, Any], told: str
) -> None:
    async def watch() -> None:
        async with watching(store, door=table):
            pass

    with pytest.raises(SettingError) as caught:
        asyncio.run(watch())
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
