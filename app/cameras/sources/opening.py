"""The source of a camera, by the kind of its address."""

from importlib.util import find_spec

from app.cameras.memory import MAX_FRAME_BYTES, MAX_VIDEO_PIXELS
from app.cameras.settings import CameraSettings
from app.cameras.sources.folder import FolderSource
from app.cameras.sources.http import HttpSource
from app.cameras.sources.http_request import HttpRequest
from app.cameras.sources.newest_frame import VideoRequest
from app.cameras.sources.source import Source
from app.cameras.sources.video import VideoSource
from app.errors import SettingError
from app.inference.classify import Classifier


def open_source(name: str, settings: CameraSettings, classifier: Classifier) -> Source:
    """The source of a camera, which connects when its frames are asked for.

    Raises:
        SettingError: its password cannot be read, or it needs what is not installed.
    """
    address, limits, memory = settings.address, classifier.limits, classifier.memory
    if address.kind == "folder":
        return FolderSource(address.url, limits, memory, MAX_FRAME_BYTES)
    try:
        credentials = settings.credentials()
    except SettingError as error:
        raise SettingError(f"cameras.{name}.{error}") from None
    if address.kind == "http" and settings.kind != "video":
        request = HttpRequest(
            url=address.url,
            credentials=credentials,
            verify_tls=settings.verify_tls,
            poll_s=settings.poll_s,
            stalled_s=settings.silence_s,
            max_bytes=MAX_FRAME_BYTES,
            limits=limits,
            memory=memory,
        )
        return HttpSource(request, address.shown, settings.kind)
    if find_spec("av") is None:
        raise SettingError(
            f"cameras.{name}.source needs the module av, which is not installed. "
            "In a checkout, install it with `pip install '.[av]'`."
        )
    video = VideoRequest(
        url=address.url,
        credentials=credentials,
        verify_tls=settings.verify_tls,
        stalled_s=settings.silence_s,
        max_pixels=min(limits.max_pixels, MAX_VIDEO_PIXELS),
    )
    return VideoSource(video, address.shown, "device" if address.kind == "device" else "video")
