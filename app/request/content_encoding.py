"""Compressed request bodies (RFC 9110, section 8.4)."""

import zlib

from app.errors import BadRequest, TooManyBytes, UnsupportedFormat

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's wbits
_WINDOW_BITS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW)}


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo the content encoding of a body; `deflate` may lack its zlib header, as of some clients.

    Raises:
        UnsupportedFormat: the encoding is not supported.
        TooManyBytes: the decompressed body is larger than `max_bytes`.
        BadRequest: the body is damaged.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW_BITS:
        raise UnsupportedFormat(
            f"Unsupported Content-Encoding {name[:50]!r}. Supported: gzip, deflate."
        )
    for window_bits in _WINDOW_BITS[name]:
        decompressor = zlib.decompressobj(window_bits)
        try:
            found = decompressor.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(found) > max_bytes:
            raise TooManyBytes(
                f"The decompressed body is larger than the limit of {max_bytes} bytes."
            )
        if decompressor.eof and not decompressor.unused_data:
            return found
    raise BadRequest(f"The body is not valid {name}.")
