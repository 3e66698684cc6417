"""The usual JPEG decoded in few calls: baseline, in colour, with no sign of damage.

Pillow's plugin takes more time under the GIL than everything else that a worker does. Cameras send
the same header with every image, so what follows from a header is kept. Every other file is left to
`app.images.decode`, which decodes it with the plugin, or says what is wrong with it.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from PIL import Image

from app.images.crop import ORIENTATIONS, Box, CropRule, crop_box, exif_orientation, needed_side
from app.images.decode_memory import SMALL_BYTES, DecodeMemory
from app.images.jpeg import bound
from app.images.limits import BeyondBounds, ImageLimits

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MAX_KEPT_BYTES = 4096  # of a header
SCAN_HEADER_BYTES = 14  # of three components
XMP = b"http://ns.adobe.com/xap/1.0/\0"
LAST_BYTES = 66  # with the end marker; decoders read a few bytes ahead
GREY = frozenset((127, 128))  # the value of samples that were never decoded, and of its inverse
MAX_SPARE_PIXELS = 2**18  # a megabyte

_core: Any = vars(Image)["core"]  # what Pillow's plugins call
_spare: list[Any] = []  # decoded images, whose memory the next ones take


class Plan(NamedTuple):
    """What the header of a JPEG says about decoding it for a model."""

    size: tuple[int, int]  # as decoded
    scale: int  # that the image is divided by
    full_size: tuple[int, int]
    memory_bytes: int
    pixels_ns: float  # maximum time, with the header and without the data of the scan
    samples_ns: float  # maximum time for that data, however many bytes it has
    resampling: Image.Resampling
    box: Box  # of the decoded image
    transpose: Image.Transpose | None


def decode_plain(
    data: bytes,
    resolution: int,
    rule: CropRule,
    limits: ImageLimits,
    memory: DecodeMemory,
    *,
    bounded: bool,
) -> bytes | None:
    """Decode at reduced scale to RGB [resolution, resolution, 3]; None if the general way has to.

    Raises:
        BeyondBounds: it has to, but may take too long after this attempt.
    """
    wanted = resolution, rule.resize, rule.crop_fraction, rule.interpolation
    scan_at = data.find(b"\xff\xda", 0, MAX_KEPT_BYTES)
    plan = _kept_plan(data[: scan_at + SCAN_HEADER_BYTES], *wanted) if scan_at > 0 else None
    plan = plan or _plan(data, *wanted)
    if plan is None or memory.limit_bytes < plan.memory_bytes:
        return None
    width, height = plan.full_size
    if width * height > limits.max_pixels or min(width, height) < limits.min_side:
        return None
    bound_ns = plan.pixels_ns + min(len(data) * bound.NS_PER_BYTE, plan.samples_ns)
    if bound_ns > bound.MAX_NS:
        return None
    try:
        if plan.memory_bytes <= SMALL_BYTES:
            pixels = _decode(data, plan, resolution)
        else:
            with memory.hold(plan.memory_bytes):
                pixels = _decode(data, plan, resolution)
    except Exception:  # the general way has the words for it
        pixels = None
    if pixels is None and bounded and 3 * bound_ns > bound.MAX_NS:
        raise BeyondBounds
    return pixels


def _plan(
    data: bytes, resolution: int, resize: str, crop_fraction: float, interpolation: str
) -> Plan | None:
    """Read a header; None if it is not that of a plain JPEG, or goes on behind `data`."""
    header = bound.read_header(data)
    if isinstance(header, float):
        return None
    frame, scan = header.frame, data[header.scan_at : header.scan_at + SCAN_HEADER_BYTES]
    if frame.progressive or frame.bits != 8 or frame.components != 3 or not frame.pixels:
        return None
    if len(scan) < SCAN_HEADER_BYTES or scan[4] != frame.components:
        return None
    exif: bytes | None = None
    for marker, start, end in header.segments:
        segment = data[start:end]
        if marker == bound.APP1 and segment.startswith(b"Exif\0\0"):
            exif = segment if exif is None else exif + segment[6:]  # as Pillow does
        elif marker == bound.DRI or (marker == bound.APP1 and segment.startswith(XMP)):
            return None
    orientation = exif_orientation(exif) or ORIENTATIONS[0]
    rule = _Rule(resize, crop_fraction, interpolation)
    scale = bound.scale_of(frame, needed_side(resolution, rule))
    width, height = frame.width, frame.height
    displayed = crop_box(*orientation.swap(width, height), resolution, rule)
    return Plan(
        size=(-(-width // scale), -(-height // scale)),
        scale=scale,
        full_size=(width, height),
        memory_bytes=width * height * (1 if scale > 1 else 4),
        pixels_ns=header.bound_ns + frame.pixels * bound.NS_PER_PIXEL[scale],
        samples_ns=frame.samples * bound.NS_PER_SAMPLE,
        resampling=RESAMPLING[interpolation],
        box=orientation.stored(displayed, width, height).scaled(1 / scale),
        transpose=orientation.transpose,
    )


_kept_plan = lru_cache(64)(_plan)


class _Rule(NamedTuple):
    resize: str
    crop_fraction: float
    interpolation: str


def _decode(data: bytes, plan: Plan, resolution: int) -> bytes | None:
    """Decode, crop, resize and turn; None if something is wrong with the data or looks so."""
    try:
        image = _spare.pop()
        if image.size != plan.size:
            raise IndexError
    except IndexError:
        image = _core.new("RGB", plan.size)
    width, height = plan.size
    decoder = _core.jpeg_decoder("RGB", "RGB", "", plan.scale, 0)
    try:
        decoder.setimage(image, (0, 0, width, height))
        scan = memoryview(data)
        used, error = decoder.decode(scan[:-LAST_BYTES])
        if used < 0:
            return None  # an error, or it is complete without the last bytes
        used, error = decoder.decode(scan[used:])
        if used >= 0 or error < 0 or GREY.issuperset(image.getpixel((width - 1, height - 1))):
            return None
    finally:
        decoder.cleanup()
    small = image.resize((resolution, resolution), plan.resampling, plan.box)
    if width * height <= MAX_SPARE_PIXELS:
        _spare.append(image)
    if plan.transpose is not None:
        small = small.transpose(plan.transpose)
    encoder = _core.raw_encoder("RGB", "RGB")
    encoder.setimage(small, (0, 0, resolution, resolution))
    pixels: bytes = encoder.encode(3 * resolution * resolution)[2]
    return pixels
