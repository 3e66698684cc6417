"""Streams that FFmpeg reads. `python -m loadtest.cameras.hostile` tries a real RTSP server."""

import asyncio
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cameras.frames.zone import WHOLE
from app.cameras.sources.newest_frame import NewestFrame, VideoRequest
from loadtest.cameras.camera_server import CameraServer, camera_server
from tests.app.cameras.watched import SURE, next_event, until, watching

av = pytest.importorskip("av", reason="needs PyAV: pip install '.[av]'")
TASKS = Path("/proc/self/task")
FAST = {**SURE, "kind": "video", "frames_per_s": 50, "stalled_s": 60}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of MPEG-TS: a scene of 128 x 96 pixels, grey on the left."""
    path = tmp_path_factory.mktemp("stream") / "stream.ts"
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:, :64] = 128
    with av.open(str(path), "w") as out:
        track = out.add_stream("mpeg2video", rate=25)
        track.width, track.height, track.pix_fmt = 128, 96, "yuv420p"
        for _ in range(50):
            out.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(track.encode())
    return path.read_bytes()


def test_a_stream_becomes_frames_and_is_opened_again_at_its_end(store: Path, stream: bytes) -> None:
    async def watch() -> None:
        server = CameraServer(mode="snapshot", image=lambda: stream, content_type="video/mp2t")
        async with (
            camera_server(server),
            watching(store, door={"source": server.url(), **FAST, "rotation": 90}) as cameras,
        ):
            with cameras.subscribe() as listening:
                event = await next_event(listening)
            assert (event.camera, event.state) == ("door", "start")
            assert cameras.status("door").source.kind == "video"
            jpeg = cameras.newest_jpeg("door")
            assert jpeg
            with Image.open(io.BytesIO(jpeg)) as image:
                assert image.size == (96, 128)  # turned
                shown = np.asarray(image.convert("L"))
            assert abs(float(shown[:60].mean()) - 128) < 8  # left is above now
            assert float(shown[68:].mean()) < 8
            await until(lambda: cameras.status("door").reconnects >= 2, "opened again")
            status = cameras.status("door")
            assert status.frames_seen >= 40  # some of 100 pass while FFmpeg opens
            assert status.frames_failed == 0

    asyncio.run(watch())


def test_a_playlist_cannot_read_files(
    store: Path, stream: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "private.ts"
    file.write_bytes(stream)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{file}\n#EXT-X-ENDLIST\n"
    caplog.set_level(logging.DEBUG)

    async def watch() -> None:
        server = CameraServer(
            mode="snapshot",
            image=playlist.encode,
            content_type="application/vnd.apple.mpegurl",
        )
        async with (
            camera_server(server),
            watching(
                store, door={"source": server.url("/a.m3u8", "admin:s3cret@"), **FAST}
            ) as cameras,
        ):
            await until(lambda: cameras.status("door").reconnects >= 2, "attempts")
            status = cameras.status("door")
            assert status.frames_seen == 0
            assert not status.connected
            assert "s3cret" not in status.model_dump_json()

    asyncio.run(watch())
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("address", ["rtsp://admin:s3cret@127.0.0.1:1/x", "/dev/video99"])
def test_what_cannot_be_reached_is_told_without_its_password(store: Path, address: str) -> None:
    async def watch() -> None:
        async with watching(store, door={"source": address, **SURE}) as cameras:
            await until(lambda: cameras.status("door").reconnects, "attempts")
            error = cameras.status("door").error
            assert error in ("Cannot connect to the camera.", "There is no such device.")

    asyncio.run(watch())


def test_a_stream_that_is_too_large_is_told_with_the_way_out(stream: bytes) -> None:
    from app.cameras.sources.ffmpeg import read_frames

    async def read() -> str:
        server = CameraServer(mode="snapshot", image=lambda: stream, content_type="video/mp2t")
        async with camera_server(server):
            request = VideoRequest(server.url(), None, True, 60, max_pixels=128 * 96 - 1)
            return await asyncio.to_thread(read_frames, request, False, NewestFrame())

    assert asyncio.run(read()) == (
        "The stream has 128 x 96 pixels; the maximum is 12287. "
        "Set `source` to a smaller stream of the camera."
    )


def test_frames_are_converted_without_threads_of_their_own() -> None:
    from app.cameras.frames.video_frame import VideoFrameContent

    frames = [VideoFrameContent(av.VideoFrame(640, 480, "yuv420p")) for _ in range(20)]
    before = set(TASKS.iterdir())
    assert all(frame.grey(WHOLE, 48, 0) is not None for frame in frames)
    assert len(set(TASKS.iterdir()) - before) < 10  # FFmpeg would start two and more a frame
