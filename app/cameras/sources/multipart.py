"""The frames of a `multipart/x-mixed-replace` answer, as real cameras write it.

RFC 2046 in the main. Cameras name their boundary with dashes that belong to the delimiter, or not
at all; some end lines with LF only; some state no Content-Length, or a wrong one.
"""

import mmap
import re

from app.cameras.sources.whole_file import JPEG_START, is_whole_jpeg

MAX_HEADER_BYTES = 16_384  # of a part, with whatever stands before it
PIECE_BYTES = 65_536
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


class MultipartFrames:
    """Takes the stream in pieces of any size and gives the JPEGs in it.

    What waits lies in one mapping of its own, so that it never fragments the heap, and all of it
    goes back to the system with the connection.
    """

    def __init__(self, boundary: str | None, max_bytes: int) -> None:
        """`max_bytes` of a frame."""
        self._max_bytes = max_bytes
        self._buffer = mmap.mmap(-1, max(max_bytes, MAX_HEADER_BYTES) + PIECE_BYTES)
        self._begin = self._end = 0  # of what waits
        self._in_body = False
        self._length: int | None = None  # of the body, as stated
        self._searched = 0  # bytes of the body that hold no delimiter
        self._delimiter = b""
        if boundary is not None and boundary.strip("-"):
            self._delimiter = b"--" + boundary.lstrip("-").encode("latin-1", "replace")

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the stream; the frames that it completes, which may be none.

        Raises:
            MultipartError: a header or a frame is too large.
        """
        frames: list[bytes] = []
        for at in range(0, len(data), PIECE_BYTES):
            self._add(data[at : at + PIECE_BYTES])
            while self._in_body or self._read_header():
                body = self._read_body()
                if body is None:
                    break
                if body.startswith(JPEG_START):
                    frames.append(body)
        return frames

    def _add(self, piece: bytes) -> None:
        waiting = self._end - self._begin
        if self._begin:
            self._buffer.move(0, self._begin, waiting)
        self._begin, self._end = 0, waiting + len(piece)
        self._buffer[waiting : self._end] = piece

    def _read_header(self) -> bool:
        """Go to the start of a body; whether it is there."""
        buffer, stop = self._buffer, self._end
        if not self._delimiter:
            named = DELIMITER_LINE.search(buffer, 0, min(stop, MAX_HEADER_BYTES))
            if named is None:
                return self._not_yet()
            self._delimiter = named[1].rstrip()
        start = buffer.find(self._delimiter, self._begin, stop)
        end = HEADER_END.search(buffer, start, stop) if start >= 0 else None
        if end is None:
            return self._not_yet()
        length = LENGTH.search(buffer, start, end.end())
        self._length = int(length[1]) if length else None
        if self._length is not None and self._length > self._max_bytes:
            raise MultipartError(f"A frame has more than {self._max_bytes} bytes.")
        self._begin = end.end()
        self._in_body, self._searched = True, 0
        return True

    def _not_yet(self) -> bool:
        if self._end - self._begin > MAX_HEADER_BYTES:
            raise MultipartError("The stream has no parts with a header.")
        return False

    def _read_body(self) -> bytes | None:
        """The body of a part once it is complete."""
        buffer, begin, delimiter = self._buffer, self._begin, self._delimiter
        waiting, length = self._end - begin, self._length
        searched = begin + max(0, self._searched - len(delimiter))
        found = buffer.find(delimiter, searched, self._end)
        if length and waiting >= length and not 0 <= found < begin + length:
            end = begin + length  # as stated; a delimiter before it would show a wrong length
        elif found >= 0:
            end = found
        elif waiting > self._max_bytes:
            raise MultipartError(f"A frame has more than {self._max_bytes} bytes.")
        elif length is None and is_whole_jpeg(buffer, begin, self._end):
            end = self._end  # its delimiter may come with the next frame only
        else:
            self._searched = waiting
            return None
        body = buffer[begin:end]
        if end == found:
            body = body.rstrip(b"-").removesuffix(b"\n").removesuffix(b"\r")
        self._begin, self._in_body = end, False
        return body
