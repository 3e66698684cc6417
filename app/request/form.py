"""The files of a multipart form."""

from collections.abc import Mapping

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadRequest, TooManyImages

ENCODED_FILE_NAME = b"filename*="  # RFC 5987; old clients send names beyond ASCII so


def read_form(body: bytes, options: Mapping[bytes, bytes], max_images: int) -> list[bytes]:
    """The content of every part that is a file, by its name or type, whatever its field is called.

    `options` are those of the content type.

    Raises:
        BadRequest: the form is damaged, or a part is not a file.
        TooManyImages: it has more than `max_images` files.
    """
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequest("The Content-Type multipart/form-data has no boundary.")
    form = _Form(max_images)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]  # its types want every callback
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest(f"The multipart body is damaged: {error}") from error
    if not form.ended:
        raise BadRequest("The multipart body ends before its closing boundary.")
    if not form.images:
        raise BadRequest("The form has no file.")
    return form.images


class _Form:
    """Collects what the parser calls back with.

    It ends the parsing at the first bad part: a body of the maximum size holds 300,000 parts, which
    would block the event loop for two seconds.
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
        disposition = self._headers.get("content-disposition", b"")
        _, options = parse_options_header(disposition)  # leaves out what has an asterisk
        named = b"filename" in options or ENCODED_FILE_NAME in disposition.lower()
        if not named and not self._has_file_type():
            field = options.get(b"name", b"").decode("utf-8", "replace")[:100]
            raise BadRequest(
                f"Form field {field!r} is not a file. "
                "Options such as model and top_k belong into the query."
            )
        if len(self.images) == self._max_images:
            raise TooManyImages(f"More than {self._max_images} images in one request.")
        self.images.append(b"".join(self._slices))

    def _has_file_type(self) -> bool:
        """Whether a part without a file name is a file by its type."""
        kind, _ = parse_options_header(self._headers.get("content-type", b""))
        return kind.lower().startswith(b"image/") or kind.lower() == b"application/octet-stream"

    def _finish(self) -> None:
        self.ended = True
