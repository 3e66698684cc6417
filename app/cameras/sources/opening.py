"""The source of a camera, by the kind of its address."""

from app.cameras.settings import CameraSettings
from app.cameras.sources.folder import FolderSource
from app.cameras.sources.source import Source
from app.errors import SettingError
from app.inference.classify import Classifier

MAX_FRAME_BYTES = 16 * 2**20


def open_source(name: str, settings: CameraSettings, classifier: Classifier) -> Source:
    """The source of a camera, which connects when its frames are asked for.

    Raises:
        SettingError: its password cannot be read, or it needs what is not installed.
    """
    address = settings.address
    if address.kind == "folder":
        return FolderSource(address.url, classifier.limits, classifier.memory, MAX_FRAME_BYTES)
    raise SettingError(f"cameras.{name}.source: {address.kind} is not supported yet.")
