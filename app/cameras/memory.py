"""What cameras add to the sum of memory in docs/operations.md, and whether it fits."""

import logging
import resource
from collections.abc import Mapping
from pathlib import Path

from app.cameras.settings import CameraSettings
from app.settings import Settings
from app.system.available_memory import available_bytes

MAX_FRAME_BYTES = 8 * 2**20  # of a frame as an image file
MAX_VIDEO_PIXELS = 2688 * 1520
MEGABYTE = 10**6
# The frame that arrives, the newest, the one on a worker, and what belongs to the connection.
IMAGE_CAMERA_BYTES = 26 * MEGABYTE
# H.264 and HEVC refer to up to 16 frames; FFmpeg and the camera keep 6 more (4:2:0 in 8 bits).
VIDEO_CAMERA_BYTES = 140 * MEGABYTE
PUBLISHED_BYTES = 9 * MEGABYTE  # the frame that the broker was sent last
LIBRARIES_BYTES = 20 * MEGABYTE  # FFmpeg 10, the HTTP client 4, MQTT 1, the message on its way
STATM = Path("/proc/self/statm")

log = logging.getLogger(__name__)


def cameras_bytes(cameras: Mapping[str, CameraSettings], frames_published: bool) -> int:
    """What all cameras can take at most."""
    if not cameras:
        return 0
    video = sum(one.is_video for one in cameras.values())
    return (
        LIBRARIES_BYTES
        + video * VIDEO_CAMERA_BYTES
        + (len(cameras) - video) * IMAGE_CAMERA_BYTES
        + frames_published * len(cameras) * PUBLISHED_BYTES
    )


def service_bytes(settings: Settings, workers: int) -> int:
    """What requests can make the service take at most, with the default model."""
    return (
        165 * MEGABYTE
        + workers * 14 * MEGABYTE
        + settings.max_decode_bytes
        + settings.helper_memory_bytes
        + settings.max_inflight_bytes
        + 3 * settings.max_body_bytes
        + settings.max_connections * MEGABYTE // 5
    )


def warn_if_short(settings: Settings, workers: int, cameras_need: int) -> None:
    """Log if the machine or its cgroup has less than cameras and requests together may take."""
    left = available_bytes()
    if left is None:
        return
    has, need = left + _resident_bytes(), service_bytes(settings, workers) + cameras_need
    if need > has:
        log.warning(
            "Requests and cameras can take up to %s MB, %s of them the cameras, but there are "
            "%s MB. Raise the memory limit, or lower GATEWAY_HELPER_MEMORY_BYTES or "
            "GATEWAY_MAX_DECODE_BYTES.",
            *(figure // MEGABYTE for figure in (need, cameras_need, has)),
        )


def _resident_bytes() -> int:
    """What this process takes now, which is not counted as left."""
    try:
        return int(STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
