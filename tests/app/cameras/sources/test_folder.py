"""A folder of images: which file is a frame, and when."""

import asyncio
import io
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from PIL import Image

from app.cameras.frames.encoded_frame import EncodedFrame
from app.cameras.frames.frame import Frame
from app.cameras.sources.folder import FolderSource
from app.images.decode_memory import UNLIMITED
from app.images.limits import ImageLimits
from loadtest.cameras.scenes import plain

IMAGE = Image.new("RGB", (64, 48), (10, 120, 200))
OLD_S = 1_000_000_000  # in 2001


def encoded(image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    IMAGE.save(buffer, image_format, **options)
    return buffer.getvalue()


WHOLE = {name: encoded(name) for name in ("JPEG", "PNG", "WEBP")}
THUMBNAIL = encoded("JPEG")
WHOLE["JPEG with a thumbnail"] = (
    plain(90)[:2]
    + b"\xff\xe1"
    + (len(THUMBNAIL) + 8).to_bytes(2, "big")
    + b"Exif\0\0"
    + THUMBNAIL
    + plain(90)[2:]
)


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return FolderSource(str(tmp_path), ImageLimits(), UNLIMITED, 100_000)


async def after(frames: AsyncGenerator[Frame | None, None], looks: int) -> list[bytes]:
    """The files of the next frames, until `looks` looks found nothing new."""
    found: list[bytes] = []
    while looks:
        frame = await anext(frames)
        if frame is None:
            looks -= 1
        else:
            assert isinstance(frame.content, EncodedFrame)
            found.append(frame.content.data)
    return found


def test_a_file_that_is_renamed_into_the_folder_is_taken_at_once_however_old_it_is(
    source: FolderSource, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async def watch() -> None:
        frames = source.frames()
        (tmp_path / "first.jpg").write_bytes(plain(10))
        assert await after(frames, 2) == []  # it was there before
        (tmp_path / "second.jpg").write_bytes(plain(20))
        assert await after(frames, 2) == [plain(20)]
        outside = tmp_path_factory.mktemp("outside") / "third.jpg"
        outside.write_bytes(plain(30))
        os.utime(outside, (OLD_S, OLD_S))
        outside.rename(tmp_path / "a-third.jpg")
        assert await after(frames, 1) == [plain(30)]

    asyncio.run(watch())


@pytest.mark.parametrize("name", WHOLE)
def test_an_image_with_its_end_is_taken_at_the_next_look_and_no_part_of_it(
    source: FolderSource, tmp_path: Path, name: str
) -> None:
    data = WHOLE[name]
    cut = data.find(THUMBNAIL) + len(THUMBNAIL) if "thumbnail" in name else len(data) - 1

    async def watch() -> None:
        frames = source.frames()
        await after(frames, 1)
        with (tmp_path / "new.img.png").open("wb", buffering=0) as file:
            file.write(data[:cut])
            assert await after(frames, 1) == []
            file.write(data[cut:])
        assert await after(frames, 1) == [data]

    asyncio.run(watch())


def test_another_image_is_taken_when_it_does_not_change_any_more(
    source: FolderSource, tmp_path: Path
) -> None:
    data = encoded("BMP")

    async def watch() -> None:
        frames = source.frames()
        await after(frames, 1)
        with (tmp_path / "new.bmp").open("wb", buffering=0) as file:
            for at in range(0, len(data), 4000):
                file.write(data[at : at + 4000])
                assert await after(frames, 1) == []
        assert await after(frames, 1) == [data]

    asyncio.run(watch())


def test_a_file_that_is_too_large_is_skipped(source: FolderSource, tmp_path: Path) -> None:
    async def watch() -> None:
        frames = source.frames()
        await after(frames, 1)
        (tmp_path / "large.jpg").write_bytes(plain(10) + bytes(100_000))
        assert await after(frames, 3) == []
        (tmp_path / "small.jpg").write_bytes(plain(20))
        assert await after(frames, 1) == [plain(20)]

    asyncio.run(watch())


def test_a_file_that_came_while_the_folder_was_away_is_new(
    source: FolderSource, tmp_path: Path
) -> None:
    async def watch() -> None:
        (tmp_path / "first.jpg").write_bytes(plain(10))
        frames = source.frames()
        assert await after(frames, 2) == []
        await frames.aclose()
        (tmp_path / "second.jpg").write_bytes(plain(20))
        assert await after(source.frames(), 2) == [plain(20)]

    asyncio.run(watch())
