"""Compressed request bodies (RFC 9110, section 8.4)."""

import zlib

from app.errors import BadRequest, TooManyBytes, UnsupportedFormat

# Files of images compress little, JSON with base64 by a quarter, blank bitmaps without end. 25 kB
# that expand to 24 MiB would hold up everybody as long as 24 MiB do.
MAX_EXPANSION, FREE_BYTES = 20, 1 << 20
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's wbits
_WINDOW_BITS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW)}


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo the content encoding of a body; `deflate` may lack its zlib header, as of some clients.

    Raises:
        UnsupportedFormat: the encoding is not supported.
        TooManyBytes: the decompressed body is larger than `max_bytes`, or much larger than it was.
        BadRequest: the body is damaged.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW_BITS:
        raise UnsupportedFormat(
            f"Unsupported Content-Encoding {name[:50]!r}. Supported: gzip, deflate."
        )
    expanded_bytes = max(FREE_BYTES, MAX_EXPANSION * len(body))
    for window_bits in _WINDOW_BITS[name]:
        decompressor = zlib.decompressobj(window_bits)
        try:
            found = decompressor.decompress(body, min(max_bytes, expanded_bytes) + 1)
        except zlib.error:
            continue
        if len(found) > max_bytes:
            raise TooManyBytes(
                f"The decompressed body is larger than the limit of {max_bytes} bytes."
            )
        if len(found) > expanded_bytes:
            raise TooManyBytes(
                f"The body expands to more than {MAX_EXPANSION} times its size. "
                "Send it uncompressed."
            )
        if decompressor.eof and not decompressor.unused_data:
            return found
    raise BadRequest(f"The body is not valid {name}.")
