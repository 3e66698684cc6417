"""What a request body holds: one raw image, a multipart form or JSON with base64."""

import base64
import binascii
from collections.abc import Mapping

from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadRequest, TooManyImages, UnsupportedFormat
from app.http.schemas import PredictBody

RAW_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/gif",
    "image/tiff",
    "application/octet-stream",
)
ALIASES = {"image/jpg", "image/pjpeg", "image/x-ms-bmp", "image/x-png", "image/apng"}
ALIASES |= {"application/x-www-form-urlencoded"}  # what curl calls any --data-binary
SPARE_COMMAS = 16  # so that a body that is only a little wrong is told what is
MULTIPART, JSON = "multipart/form-data", "application/json"


def split_images(body: bytes, content_type: str, max_images: int) -> list[bytes]:
    """The images in a body, in order.

    Raises:
        UnsupportedFormat: the content type is none that is taken.
        BadRequest: the body is not what its content type promises.
        TooManyImages: there are more than `max_images`.
    """
    kind, options = parse_options_header(content_type or "application/octet-stream")
    name = kind.decode("latin-1").lower()
    if name in RAW_TYPES or name in ALIASES:
        return [body]
    if name == MULTIPART:
        return _from_multipart(body, options, max_images)
    if name == JSON:
        return _from_json(body, max_images)
    raise UnsupportedFormat(
        f"content type {name!r} is not taken; send {', '.join((*RAW_TYPES, MULTIPART, JSON))}"
    )


def _from_multipart(body: bytes, options: Mapping[bytes, bytes], max_images: int) -> list[bytes]:
    """The content of every part that has a file name, whatever its field is called."""
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequest("multipart/form-data without a boundary in its Content-Type")
    form = _Form(max_images)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]  # its types want every callback
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest(f"the multipart body is damaged: {error}") from error
    if not form.ended:
        raise BadRequest("the multipart body ends before its closing boundary")
    if not form.images:
        raise BadRequest("the form holds no file")
    return form.images


class _Form:
    """What the parser's callbacks saw. They end the parsing at the first part that is wrong: the
    largest body holds 300,000 parts, for which the event loop would stand still for two seconds.
    """

    def __init__(self, max_images: int) -> None:
        self.images: list[bytes] = []
        self._max_images = max_images
        self.ended = False
        self._headers: dict[str, bytes] = {}
        self._name = b""
        self._value = b""
        self._slices: list[bytes] = []

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers, self._slices = {}, []

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._slices.append(data[start:end])

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"filename" not in options:
            field = options.get(b"name", b"").decode("utf-8", "replace")[:100]
            raise BadRequest(
                f"form field {field!r} is not a file; "
                "options such as model and top_k go into the query"
            )
        if len(self.images) == self._max_images:
            raise _more_than(self._max_images)
        self.images.append(b"".join(self._slices))

    def _finish(self) -> None:
        self.ended = True


def _from_json(body: bytes, max_images: int) -> list[bytes]:
    # Of each piece that is wrong a fault is made, a kilobyte for two bytes. Between images there is
    # a comma, and in a data: URL one more.
    if body.count(b",") > 2 * max_images + SPARE_COMMAS:
        raise _more_than(max_images)
    try:
        request = PredictBody.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"])) or "body"
        raise BadRequest(f"{where}: {fault['msg']}") from error
    if len(request.images) > max_images:  # before they are decoded
        raise TooManyImages(
            f"{len(request.images)} images in one request; the limit is {max_images}"
        )
    return [from_base64(text, f"images.{index}") for index, text in enumerate(request.images)]


def _more_than(limit: int) -> TooManyImages:
    return TooManyImages(f"more than {limit} images in one request; the limit is {limit}")


def from_base64(text: str, name: str) -> bytes:
    """An image in base64, plain or as a data: URL; `name` is where it stood.

    Raises:
        BadRequest: it is not base64.
    """
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadRequest(f"{name} is a data: URL, but not one in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{name} is not base64: {error}") from error
