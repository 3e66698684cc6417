"""How long decoding a PNG or a WebP can take at most, by its chunks.

PNG: W3C Portable Network Graphics, third edition, section 11. WebP: RFC 9649, section 2.
"""

from math import inf

PNG_SIGNATURE_BYTES = 8
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
PNG_DEPTHS = (1, 2, 4, 8, 16)
COMPRESSED_TEXT = (b"zTXt", b"iTXt", b"iCCP")
RIFF_HEADER_BYTES = 12
FRAME_HEADER_BYTES = 16  # of ANMF

# Maxima in nanoseconds, from `python -m loadtest.robustness.decode_costs`.
PNG_NS_PER_CHUNK = 8000
PNG_NS_PER_TEXT = 8_000_000  # Pillow decompresses up to 1 MB of each
PNG_NS_PER_PIXEL = 5
PNG_NS_PER_RAW_BYTE = 14.5  # of the filtered rows
PNG_NS_PER_BYTE = 15  # of the file
WEBP_NS_PER_CHUNK = 10_000
LOSSY_NS_PER_PIXEL, LOSSY_NS_PER_BYTE = 40, 45
LOSSLESS_NS_PER_PIXEL, LOSSLESS_NS_PER_BYTE = 50, 8


def chunk_bound_ns(name: str, data: bytes, limit_ns: float) -> float:
    """Return the maximum time that Pillow takes to open and decode an image of that format.

    Infinite for formats that set no limit to what they make a decoder do, such as TIFF, BMP and
    GIF, and for a PNG that does not start with a sound IHDR. Stops above `limit_ns`.
    """
    if name == "PNG":
        return _png_bound_ns(data, limit_ns)
    if name == "WebP":
        return _webp_bound_ns(data, limit_ns)
    return inf


def _png_bound_ns(data: bytes, limit_ns: float) -> float:
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data[8:16] != b"\x00\x00\x00\x0dIHDR" or len(data) < 33:
        return inf
    depth, colour = data[24], data[25]
    if depth not in PNG_DEPTHS or colour not in PNG_SAMPLES:
        return inf
    row_bytes = 1 + -(-width * depth * PNG_SAMPLES[colour] // 8)
    raw_bytes = height * row_bytes
    if data[28]:  # interlaced: seven images of 15/8 as many rows
        raw_bytes += 2 * height + 8 * row_bytes
    bound_ns = (
        width * height * PNG_NS_PER_PIXEL
        + raw_bytes * PNG_NS_PER_RAW_BYTE
        + min(len(data), raw_bytes) * PNG_NS_PER_BYTE
    )
    at = PNG_SIGNATURE_BYTES
    while at + 8 <= len(data) and bound_ns <= limit_ns:
        bound_ns += PNG_NS_PER_CHUNK
        if data[at + 4 : at + 8] == b"tRNS" and depth == 16:  # decoded twice
            return inf
        if data[at + 4 : at + 8] in COMPRESSED_TEXT:
            bound_ns += PNG_NS_PER_TEXT
        at += 12 + int.from_bytes(data[at : at + 4])
    return bound_ns


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Read width and height from a WebP header (RFC 9649, sections 2.5 to 2.7)."""
    match data[12:16]:
        case b"VP8X":
            return 1 + _little(data[24:27]), 1 + _little(data[27:30])
        case b"VP8L":
            bits = _little(data[21:25])
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF


def first_webp_frame(data: bytes) -> tuple[int, int, int, int] | None:
    """Read where the first frame of an animation is on its canvas; None without animation."""
    at = RIFF_HEADER_BYTES
    while data[12:16] == b"VP8X" and at + 8 <= len(data):
        if data[at : at + 4] == b"ANMF":
            left, top, width, height = (
                _little(data[at + 8 + n : at + 11 + n]) for n in (0, 3, 6, 9)
            )
            return 2 * left, 2 * top, 2 * left + 1 + width, 2 * top + 1 + height
        size = _little(data[at + 4 : at + 8])
        at += 8 + size + size % 2
    return None


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _webp_bound_ns(data: bytes, limit_ns: float) -> float:
    """Of an animation the first frame is decoded."""
    width, height = webp_canvas(data)
    pixels = width * height
    bound_ns, image_bytes, image = 0.0, 0, b""
    at = RIFF_HEADER_BYTES
    while at + 8 <= len(data) and bound_ns <= limit_ns:
        bound_ns += WEBP_NS_PER_CHUNK
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"ANMF" and not image:
            image_bytes += size
            image = data[at + 8 + FRAME_HEADER_BYTES : at + 12 + FRAME_HEADER_BYTES]
        elif kind in (b"VP8 ", b"VP8L") and not image:
            image_bytes += size
            image = kind
        elif kind == b"ALPH" and not image:
            image_bytes += size
        at += 8 + size + size % 2
    if image == b"VP8L":
        return bound_ns + pixels * LOSSLESS_NS_PER_PIXEL + image_bytes * LOSSLESS_NS_PER_BYTE
    return bound_ns + pixels * LOSSY_NS_PER_PIXEL + image_bytes * LOSSY_NS_PER_BYTE
