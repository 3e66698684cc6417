"""What an exception of a decoder means for the client."""

import logging

from app.errors import DamagedImage, OutOfMemory, RequestError, UnsupportedFormat
from app.images.jpeg import frame

log = logging.getLogger(__name__)


def to_request_error(name: str, error: Exception, data: bytes) -> RequestError:
    """Return the answer for an image of the format `name`, without internal details."""
    if isinstance(error, MemoryError):
        log.error("Not enough memory to decode a %s image.", name)
        return OutOfMemory(
            f"Not enough memory to decode this {name} image right now. "
            "Retry later or send fewer images at once."
        )
    kind = frame.unsupported(data) if name == "JPEG" else None
    if kind:
        return UnsupportedFormat(kind)
    truncated = isinstance(error, EOFError) or "truncated" in str(error).lower()
    fault = "is cut off before its last pixel" if truncated else "is damaged and does not decode"
    return DamagedImage(f"The {name} image {fault}.")
