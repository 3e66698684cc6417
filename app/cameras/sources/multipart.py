"""The frames of a `multipart/x-mixed-replace` answer, as real cameras write it.

RFC 2046 in the main. Cameras name their boundary with dashes that belong to the delimiter, or not
at all; some end lines with LF only; some state no Content-Length, or a wrong one.
"""

import re
from dataclasses import dataclass, field

JPEG_START = b"\xff\xd8"
MAX_HEADER_BYTES = 16_384  # of a part, with whatever stands before it
HEADER_END = re.compile(rb"\r?\n\r?\n")
LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
DELIMITER_LINE = re.compile(rb"(?:^|\n)(--[^\r\n]{1,200})\r?\n")
BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;]{1,200}))', re.IGNORECASE)


class MultipartError(Exception):
    """The stream is not what a camera sends."""


def boundary_of(content_type: str) -> str | None:
    """The boundary that a header names, if it does."""
    found = BOUNDARY.search(content_type)
    return (found[1] or found[2]) if found else None


@dataclass(slots=True)
class MultipartFrames:
    """Takes the stream in pieces of any size and gives the JPEGs in it; holds one part at most."""

    boundary: str | None
    max_bytes: int  # of a frame
    _buffer: bytearray = field(default_factory=bytearray)
    _delimiter: bytes = b""
    _in_body: bool = False
    _length: int | None = None
    _searched: int = 0  # bytes of the body that hold no delimiter

    def __post_init__(self) -> None:
        if self.boundary is not None and self.boundary.strip("-"):
            self._delimiter = b"--" + self.boundary.lstrip("-").encode("latin-1", "replace")

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the stream; the frames that it completes, which may be none.

        Raises:
            MultipartError: a header or a frame is too large.
        """
        self._buffer += data
        frames: list[bytes] = []
        while True:
            if not self._in_body and not self._read_header():
                return frames
            body = self._read_body()
            if body is None:
                return frames
            if body.startswith(JPEG_START):
                frames.append(body)

    def _read_header(self) -> bool:
        """Go to the start of a body; whether it is there."""
        buffer = self._buffer
        if not self._delimiter:
            named = DELIMITER_LINE.search(buffer, 0, MAX_HEADER_BYTES)
            if named is None:
                return self._not_yet()
            self._delimiter = named[1].rstrip()
        start = buffer.find(self._delimiter)
        end = HEADER_END.search(buffer, start) if start >= 0 else None
        if end is None:
            return self._not_yet()
        length = LENGTH.search(buffer, start, end.end())
        self._length = int(length[1]) if length else None
        if self._length is not None and self._length > self.max_bytes:
            raise MultipartError(f"A frame has more than {self.max_bytes} bytes.")
        del buffer[: end.end()]
        self._in_body, self._searched = True, 0
        return True

    def _not_yet(self) -> bool:
        if len(self._buffer) > MAX_HEADER_BYTES:
            raise MultipartError("The stream has no parts with a header.")
        return False

    def _read_body(self) -> bytes | None:
        """The body of a part once it is complete."""
        buffer, delimiter = self._buffer, self._delimiter
        found = buffer.find(delimiter, max(0, self._searched - len(delimiter)))
        if self._length and len(buffer) >= self._length and not 0 <= found < self._length:
            end = self._length  # as stated; a delimiter before it would show a wrong length
        elif found >= 0:
            end = found
        elif len(buffer) > self.max_bytes:
            raise MultipartError(f"A frame has more than {self.max_bytes} bytes.")
        else:
            self._searched = len(buffer)
            return None
        body = bytes(buffer[:end])
        if end == found:
            body = body.rstrip(b"-").removesuffix(b"\n").removesuffix(b"\r")
        del buffer[:end]
        self._in_body = False
        return body
