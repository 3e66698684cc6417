"""What cameras may take is part of the documented sum, and the start says if it does not fit."""

import logging
import re

import pytest

from app.cameras import memory
from app.cameras.settings import read_cameras
from app.settings import Settings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
SUM = re.compile(
    r"(\d+) MB \+ IMAGE_CAMERAS x (\d+) MB \+ VIDEO_CAMERAS x (\d+) MB"
    r" \+ PUBLISHED_CAMERAS x (\d+) MB"
)
MEGABYTE = 10**6
CAMERAS = read_cameras(
    {
        "cameras": {
            "snapshot": {"source": "http://a/"},
            "folder": {"source": "/frames"},
            "street": {"source": "rtsp://b/"},
            "playlist": {"source": "http://c/", "kind": "video"},
            "device": {"source": "/dev/video0"},
        }
    }
)


def test_the_sum_is_the_documented_one() -> None:
    [figures] = SUM.findall(PAGE)
    once, image, video, published = (int(one) * MEGABYTE for one in figures)
    assert memory.cameras_bytes({}, False) == 0
    assert memory.cameras_bytes(CAMERAS, False) == once + 2 * image + 3 * video
    assert memory.cameras_bytes(CAMERAS, True) == once + 2 * image + 3 * video + 5 * published


def test_a_camera_may_take_its_frame_three_times() -> None:
    """One arrives, one is the newest, one is on a worker; 22 decoded ones with 16 references."""
    assert memory.IMAGE_CAMERA_BYTES >= 3 * memory.MAX_FRAME_BYTES
    assert memory.PUBLISHED_BYTES >= memory.MAX_FRAME_BYTES
    frame_bytes = memory.MAX_VIDEO_PIXELS * 3 // 2
    assert 22 * frame_bytes <= memory.VIDEO_CAMERA_BYTES


@pytest.mark.parametrize(("short_bytes", "told"), [(0, False), (1, True)])
def test_the_start_says_if_it_does_not_fit(
    short_bytes: int, told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings, cameras = Settings(), memory.cameras_bytes(CAMERAS, False)
    need = memory.service_bytes(settings, 4) + cameras
    monkeypatch.setattr(memory, "available_bytes", lambda: need - short_bytes)
    monkeypatch.setattr(memory, "_resident_bytes", lambda: 0)
    caplog.set_level(logging.WARNING)
    memory.warn_if_short(settings, 4, cameras)
    assert [f"{need // MEGABYTE} MB" in text for text in caplog.messages] == [True] * told
