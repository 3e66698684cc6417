"""The images of a request body: one raw image, a multipart form or JSON with base64."""

from collections.abc import Sequence

from python_multipart.multipart import parse_options_header

from app.errors import RequestError, UnsupportedFormat
from app.request.form import read_form
from app.request.json_images import read_json

RAW_TYPES = (
    "image/jpeg", "image/png", "image/webp", "image/avif", "image/heic", "image/bmp", "image/gif",
    "image/tiff", "application/octet-stream",
)  # fmt: skip
# What clients call a body whose type they do not know; curl calls any --data-binary a form.
URL_FORM = "application/x-www-form-urlencoded"
UNKNOWN_TYPES = {"binary/octet-stream", "*/*", "text/plain", URL_FORM}
MULTIPART, JSON = "multipart/form-data", "application/json"


def split_images(body: bytes, content_type: str, max_images: int) -> Sequence[bytes | RequestError]:
    """The images in a body, in order, each with its bytes or the error that it has already.

    A raw body may have any image type: its bytes tell the format.

    Raises:
        UnsupportedFormat: the content type is not supported.
        NotAnImage: the body is JSON, or a text form, under another content type.
        BadRequest: the body does not match its content type.
        TooManyImages: there are more than `max_images`.
    """
    kind, options = parse_options_header(content_type or "application/octet-stream")
    name = kind.decode("latin-1").lower()
    if name.startswith("image/") or name in RAW_TYPES or name in UNKNOWN_TYPES:
        if name == URL_FORM or body[:1] == b"{":
            from app.request.mistaken_body import check_body  # few clients send such a body

            check_body(body, name)
        return [body]
    if name == MULTIPART:
        return read_form(body, options, max_images)
    if name == JSON:
        return read_json(body, max_images)
    supported = ", ".join((*RAW_TYPES, MULTIPART, JSON))
    raise UnsupportedFormat(f"Unsupported content type {name!r}. Supported: {supported}.")
