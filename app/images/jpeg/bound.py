"""How long decoding a JPEG can take at most, by its markers (ITU-T T.81, annex B).

Only the header is walked for the usual JPEG: baseline, all components in one scan. libjpeg decodes
no second scan of such a file. For a progressive JPEG the scans are counted, too.
"""

import re
from math import inf
from typing import NamedTuple

SOI, EOI, SOS, DQT, DHT, COM, TEM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xFE, 0x01
DRI, APP1, APP13 = 0xDD, 0xE1, 0xED
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # a marker that is neither a stuffed FF nor a RST

# A decoder cannot be interrupted, so what a worker decodes is bounded beforehand. Bounds are sums
# of maxima: images at this limit take 60 to 110 ms.
MAX_NS = 150e6
MAX_SEGMENTS = 1000
MAX_METADATA_BYTES = 4 * 2**20  # of APP and COM segments
MAX_TABLE_BYTES = 64 * 2**10
MAX_SCANS = 100

# Maxima in nanoseconds, from `python -m loadtest.robustness.decode_costs`.
NS_PER_SEGMENT = 5000
NS_PER_PHOTOSHOP_BYTE = 150  # Pillow parses APP13 in Python, 12 bytes a resource
NS_PER_TABLE_BYTE = 100
NS_PER_BYTE = 16
NS_PER_SAMPLE = 11
NS_PER_PIXEL = {1: 14, 2: 5, 4: 4, 8: 2.5}  # by the scale that the image is divided by
PROGRESSIVE_NS_PER_BYTE = 58
PROGRESSIVE_NS_PER_PIXEL = {1: 18, 2: 8, 4: 7, 8: 6}
NS_PER_SAMPLE_AND_SCAN = 0.2


class Frame(NamedTuple):
    """What SOF declares: the size, and the pixels and samples that whole MCUs make of it."""

    progressive: bool
    bits: int
    width: int
    height: int
    components: int
    pixels: int
    samples: int


class Header(NamedTuple):
    """What stands before the first scan, and how long reading it takes at most."""

    frame: Frame
    segments: tuple[tuple[int, int, int], ...]  # marker, start and end; without tables and frame
    scan_at: int  # the marker SOS
    bound_ns: float


def jpeg_bound_ns(data: bytes, side: int | None, limit_ns: float) -> float:
    """Return the maximum time that Pillow takes to open and decode a JPEG.

    `side` is the minimum of both sides after decoding, None for the full image. Infinite if the
    structure sets no limit, or is not one that encoders write. Stops above `limit_ns`.
    """
    header = read_header(data)
    if isinstance(header, float):
        return header
    left_ns = limit_ns - header.bound_ns
    return header.bound_ns + _scans_ns(data, header.scan_at, header.frame, side, left_ns)


def read_header(data: bytes) -> Header | float:
    """Read a JPEG up to its first scan; without one, the maximum time that Pillow takes."""
    at, frame = 2, None
    bound_ns, metadata_bytes, table_bytes = 0.0, 0, 0
    segments: list[tuple[int, int, int]] = []
    for _ in range(MAX_SEGMENTS):
        if at + 4 > len(data):
            return bound_ns  # Pillow finds no scan
        if data[at] != 0xFF:
            return inf
        marker = data[at + 1]
        length = data[at + 2] << 8 | data[at + 3]
        bound_ns += NS_PER_SEGMENT
        if marker == SOS:
            return inf if frame is None else Header(frame, tuple(segments), at, bound_ns)
        if marker in FRAMES:
            if frame is not None:
                return inf
            frame = _frame(marker, data[at + 4 : at + 2 + length])
            if frame is None:
                return inf
        elif marker in (DQT, DHT):
            table_bytes += length
            bound_ns += length * NS_PER_TABLE_BYTE
        else:
            if 0xE0 <= marker <= 0xEF or marker == COM:
                metadata_bytes += length
                if marker == APP13:
                    bound_ns += length * NS_PER_PHOTOSHOP_BYTE
            elif marker in (0x00, TEM, 0xFF) or 0xD0 <= marker <= EOI:
                return inf  # markers without a length, and fill bytes, which Pillow reads singly
            segments.append((marker, at + 4, at + 2 + length))
        if length < 2 or metadata_bytes > MAX_METADATA_BYTES or table_bytes > MAX_TABLE_BYTES:
            return inf
        at += 2 + length
    return inf


def _frame(marker: int, header: bytes) -> Frame | None:
    """Read SOF; None if it is not baseline, extended or progressive, or makes no sense."""
    if marker not in (BASELINE, EXTENDED, PROGRESSIVE) or len(header) < 6:
        return None
    height, width, components = header[1] << 8 | header[2], header[3] << 8 | header[4], header[5]
    factors = [(byte >> 4, byte & 15) for byte in header[7 : 6 + 3 * components : 3]]
    if not 1 <= len(factors) == components <= 4:
        return None
    across, down = max(h for h, _ in factors), max(v for _, v in factors)
    if not 1 <= across <= 4 or not 1 <= down <= 4:
        return None
    mcus = -(-width // (8 * across)) * -(-height // (8 * down))
    blocks = sum(h * v for h, v in factors)
    return Frame(
        progressive=marker == PROGRESSIVE,
        bits=header[0],
        width=width,
        height=height,
        components=components,
        pixels=mcus * 64 * across * down,
        samples=mcus * 64 * blocks,
    )


def _scans_ns(data: bytes, at: int, frame: Frame, side: int | None, limit_ns: float) -> float:
    """Return the maximum time for the scans, the first of which starts at `at`."""
    scale = scale_of(frame, side)
    if frame.progressive:
        return _progressive_ns(data, at, frame, scale, limit_ns)
    if at + 5 > len(data) or data[at + 4] != frame.components:
        return inf  # several baseline scans: libjpeg keeps all coefficients and counts no scans
    samples_ns = frame.samples * NS_PER_SAMPLE
    pixels_ns = frame.pixels * NS_PER_PIXEL[scale]
    bound_ns = pixels_ns + min((len(data) - at) * NS_PER_BYTE, samples_ns)
    if bound_ns > limit_ns >= pixels_ns:  # a motion photo has a film behind the image
        end = SCAN_END.search(data, at + 2)
        if end:
            bound_ns = pixels_ns + min((end.start() - at) * NS_PER_BYTE, samples_ns)
    return bound_ns


def _progressive_ns(data: bytes, at: int, frame: Frame, scale: int, limit_ns: float) -> float:
    bound_ns: float = frame.pixels * PROGRESSIVE_NS_PER_PIXEL[scale]
    scans = segments = 0
    while bound_ns <= limit_ns:
        marker = data[at + 1]
        if marker == EOI:
            break
        if marker == SOS:
            scans += 1
            bound_ns += frame.samples * NS_PER_SAMPLE_AND_SCAN
        segments += 1
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            return inf
        if marker in (TEM, SOI):  # without a length, and written by no encoder
            return inf
        behind = at + 1  # of a fill byte
        if marker != 0xFF and at + 4 <= len(data):
            behind = at + 2 + (data[at + 2] << 8 | data[at + 3])
        end = SCAN_END.search(data, behind)  # also skips what lies between two segments
        bound_ns += ((end.start() if end else len(data)) - at) * PROGRESSIVE_NS_PER_BYTE
        if end is None:
            break
        at = end.start()
    return bound_ns


def scale_of(frame: Frame, side: int | None) -> int:
    """Return the scale that `Image.draft` will choose."""
    if side is None:
        return 1
    reach = min(frame.width, frame.height) // side
    return next(scale for scale in (8, 4, 2, 1) if reach >= scale or scale == 1)
