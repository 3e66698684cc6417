"""Cameras over HTTP, well-behaved and not: what is seen of them, and that nothing breaks."""

import asyncio
import itertools
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.cameras.cameras import Cameras
from loadtest.cameras.camera_server import Auth, CameraServer, Mode, camera_server
from loadtest.cameras.scenes import plain
from tests.app.cameras.watched import SURE, next_event, until, watching, watching_gateway
from tests.processes import LIVELINESS_S

FAST = {**SURE, "frames_per_s": 50, "stalled_s": 100}


def is_newest(cameras: Cameras, image: bytes) -> bool:
    return cameras.newest_jpeg("door") == image


@pytest.mark.parametrize("mode", ["mjpeg", "snapshot"])
def test_a_change_before_a_camera_becomes_an_event(store: Path, mode: Mode) -> None:
    async def watch() -> None:
        async with (
            camera_server(CameraServer(mode=mode)) as server,
            watching(store, door={"source": server.url(), **FAST}) as cameras,
        ):
            with cameras.subscribe() as listening:
                event = await next_event(listening)
            assert (event.camera, event.state) == ("door", "start")
            status = cameras.status("door")
            assert status.connected
            assert status.error is None
            assert status.source.model_dump() == {"kind": mode, "address": server.url()}
            assert cameras.newest_jpeg("door") == plain(128)

    asyncio.run(watch())


def test_a_snapshot_that_has_not_changed_is_not_sent_again(store: Path) -> None:
    async def watch() -> None:
        async with (
            camera_server(CameraServer(mode="snapshot", etag='"one"')) as server,
            watching(store, door={"source": server.url(), **FAST}) as cameras,
        ):
            await until(lambda: len(server.requests) >= 5, "five requests")
            assert (server.sent, cameras.status("door").frames_seen) == (1, 1)
            server.etag = '"two"'
            server.image = lambda: plain(30)
            await until(lambda: cameras.status("door").frames_seen == 2, "another frame")
            assert cameras.newest_jpeg("door") == plain(30)
            assert cameras.status("door").connected

    asyncio.run(watch())


@pytest.mark.parametrize("kind", ["basic", "digest"])
@pytest.mark.parametrize("mode", ["mjpeg", "snapshot"])
def test_user_and_password_are_sent_as_the_camera_asks(
    store: Path, tmp_path: Path, kind: Auth, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret-word\n")
    caplog.set_level(logging.DEBUG)

    async def watch() -> None:
        server = CameraServer(mode=mode, auth=kind)
        async with camera_server(server):
            shown = server.url()
            door = {"source": shown + "?pwd=s3cret-word", "user": "admin", **FAST}
            door["password_file"] = str(secret)
            inline = server.url(user="admin:s3cret-word@")
            wrong = server.url(user="admin:wr0ng-word@")
            cameras: Cameras
            async with watching(
                store,
                door=door,
                inline={"source": inline, **FAST},
                wrong={"source": wrong, **FAST},
                none={"source": shown, **FAST},
            ) as cameras:
                await until(lambda: cameras.status("door").label, "the password of a file")
                await until(lambda: cameras.status("inline").label, "that of the address")
                await until(lambda: cameras.status("wrong").reconnects, "rejected")
                await until(lambda: cameras.status("none").reconnects, "rejected")
                told = cameras.status("wrong").error
                assert told == "The camera rejects user and password (401)."
                told = cameras.status("none").error
                assert told == "The camera needs a user and a password (401)."
                status = "".join(cameras.status(name).model_dump_json() for name in cameras.names)
                assert "s3cret" not in status
                assert "pwd" not in status

    asyncio.run(watch())
    logged = [(record.name, record.getMessage()) for record in caplog.records]
    ours = [text for name, text in logged if name.startswith(("app", "httpx", "httpcore"))]
    assert any("door: connected" in text for text in ours)
    assert not [text for text in ours if any(one in text for one in ("s3cret", "wr0ng", "pwd"))]


@pytest.mark.parametrize(
    ("mode", "status", "told"),
    [
        ("stall", 200, "No frame for 0.52 s."),
        ("trickle", 200, "No frame for 0.52 s."),
        ("cut", 200, "The camera ended the stream."),
        ("endless", 200, "A frame has more than 8388608 bytes."),
        ("page", 200, "The camera answers a page of text, not an image."),
        ("mjpeg", 404, "The camera answers 404 Not Found."),
        ("snapshot", 500, "The camera answers 500 Internal Server Error."),
        ("mjpeg", 302, "The camera redirects (302). Set `source` to the new address."),
    ],
)
def test_a_camera_that_fails_is_told_and_seen_again_when_it_recovers(
    store: Path, mode: Mode, status: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    patience = {"stalled_s": 0.5} if mode in ("stall", "trickle") else {}

    async def watch() -> None:
        async with (
            camera_server(CameraServer(mode=mode, status=status)) as server,
            watching(store, door={"source": server.url(), **FAST, **patience}) as cameras,
        ):
            await until(lambda: cameras.status("door").error == told, told)
            assert cameras.status("door").label is None
            server.mode, server.status = "mjpeg", 200
            await until(lambda: cameras.status("door").label, "a label")
            await until(lambda: cameras.status("door").error is None, "no error")

    asyncio.run(watch())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_camera_that_disappears_is_found_again(store: Path) -> None:
    async def watch() -> None:
        async with (
            camera_server(CameraServer()) as server,
            watching(store, door={"source": server.url(), **FAST, "stalled_s": 1}) as cameras,
        ):
            await until(lambda: cameras.status("door").label, "a label")
            await server.stop()
            await until(lambda: not cameras.status("door").connected, "gone")
            gone = cameras.status("door")
            assert gone.label is not None  # nobody saw it end
            await until(lambda: cameras.status("door").reconnects >= 2, "attempts")
            assert cameras.status("door").error == "Cannot connect to the camera."
            await server.start()
            await until(lambda: cameras.status("door").connected, "back")

    asyncio.run(watch())


def test_of_a_flood_the_newest_frame_is_looked_at_and_the_rest_dropped_and_counted(
    store: Path,
) -> None:
    shades = itertools.cycle([plain(shade, 64, 48) for shade in range(0, 250, 10)])

    async def watch() -> None:
        server = CameraServer(mode="flood", image=lambda: next(shades))
        async with (
            camera_server(server),
            watching(store, door={"source": server.url(), **FAST, "frames_per_s": 2}) as cameras,
        ):
            await until(lambda: cameras.status("door").frames_seen > 500, "a flood")
            status = cameras.status("door")
            assert status.frames_dropped > status.frames_seen / 2
            assert status.connected

    asyncio.run(watch())


def test_a_resolution_that_changes_is_followed(store: Path) -> None:
    async def watch() -> None:
        async with (
            camera_server(CameraServer()) as server,
            watching(store, door={"source": server.url(), **FAST}) as cameras,
        ):
            await until(lambda: cameras.status("door").label, "a label")
            for size in ((640, 480), (33, 47), (1280, 720)):
                large = plain(90, *size)
                server.show(large)
                await until(partial(is_newest, cameras, large), "size")
            seen = cameras.status("door").frames_seen
            await until(lambda: cameras.status("door").frames_seen > seen + 5, "frames")
            assert cameras.status("door").frames_failed == 0
            server.image = lambda: plain(90)[:500]
            await until(lambda: cameras.status("door").frames_failed, "a broken frame")
            server.image = lambda: plain(90)
            await until(lambda: cameras.status("door").error is None, "a good frame")

    asyncio.run(watch())


def test_requests_go_before_frames(store: Path) -> None:
    """While images of requests wait, no frame has a turn."""

    async def watch() -> None:
        async with (
            camera_server(CameraServer()) as server,
            watching_gateway(store, door={"source": server.url(), **FAST}) as (cameras, gateway),
        ):
            await until(lambda: cameras.status("door").label, "a label")
            release = asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold(_queue_ms: float) -> None:
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

            held = gateway.scheduler.submit([hold] * 2)  # both workers
            server.image = lambda: plain(20)
            await until(lambda: cameras.newest_jpeg("door") == plain(20), "the frame")
            await until(lambda: gateway.scheduler.unfinished == 2, "no look goes on")
            before = cameras.status("door")
            await until(
                lambda: cameras.status("door").frames_dropped > before.frames_dropped + 5, "drops"
            )
            assert gateway.scheduler.unfinished == 2
            release.set()
            await held
            unchanged = before.frames_unchanged
            await until(lambda: cameras.status("door").frames_unchanged > unchanged, "looks")

    asyncio.run(watch())


def test_a_camera_that_comes_and_goes_does_not_fill_the_log(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.cameras")

    async def watch() -> None:
        async with (
            camera_server(CameraServer(mode="mjpeg")) as server,
            watching(store, door={"source": server.url(), **FAST}) as cameras,
        ):
            for _ in range(5):
                await until(lambda: cameras.status("door").connected, "connected")
                await server.stop()
                await until(lambda: not cameras.status("door").connected, "gone")
                await server.start()

    began = time.monotonic()
    asyncio.run(watch())
    minutes = 1 + (time.monotonic() - began) // 60
    lines = [text for text in caplog.messages if text.startswith("Camera door: connected")]
    assert 1 <= len(lines) <= minutes


def test_a_name_server_that_is_away_leaves_the_threads_of_the_service_free(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = threading.Event()
    resolve = socket.getaddrinfo

    def away(host: str | bytes, *arguments: Any, **options: Any) -> Any:
        if "flags" not in options and b".invalid" in (
            host if isinstance(host, bytes) else host.encode()
        ):
            back.wait()
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", away)  # stands in for the name server
    monkeypatch.setattr("app.cameras.sources.http.LOOKUP_S", 0.1)

    async def watch() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        names = [f"cam{number}" for number in range(3)]  # more than there are threads
        tables = {name: {"source": f"http://{name}.invalid/", **FAST} for name in names}
        async with watching(store, **tables) as cameras:
            found = partial(map, cameras.status, names)
            await until(lambda: all(one.reconnects >= 3 for one in found()), "attempts")
            assert {one.error for one in found()} == {"The name server does not answer."}
            async with asyncio.timeout(LIVELINESS_S):
                await asyncio.to_thread(lambda: None)
            assert sum("_ask" in thread.name for thread in threading.enumerate()) == len(names)
            back.set()
            told = "Cannot connect to the camera."
            await until(lambda: cameras.status("cam0").error == told, "an answer")

    try:
        asyncio.run(watch())
    finally:
        back.set()
