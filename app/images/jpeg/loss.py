"""Data that is missing from a JPEG which nevertheless decodes.

libjpeg fills what it cannot decode with grey and reports a warning, which Pillow does not pass on.
What can be seen without it: grey at the end, restart markers and scans that are missing, and data
that is left over. Changed bytes that decode to another image cannot be seen.
"""

import re

from PIL import Image, ImageChops

from app.errors import DamagedImage
from app.images.jpeg.bound import EOI, MAX_NS, SCAN_END, SOS, jpeg_bound_ns
from app.images.jpeg.file import JpegFile
from app.images.jpeg.frame import frame_header, restart_interval
from app.images.jpeg.plain import LAST_BYTES
from app.images.limits import BeyondBounds

MAX_MISSING = 1 / 8  # of the rows; an image that lacks more is not answered
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
READ_AHEAD = bytes(8)  # libjpeg fills a register of 8 bytes, whatever it needs
PADDING = b"\x00\xff"  # what encoders write before the end marker
MAX_SEGMENTS = 100_000
ALL_COEFFICIENTS = 2**64 - 1

MISSING_SCANS = "The JPEG ends before its last scan, so that it lacks detail."
MISSING_RESTARTS = "The JPEG is damaged: restart markers are missing, and with them parts of it."
LEFT_OVER = "The JPEG is damaged: data is left over behind its last pixel."


def missing(image: JpegFile, side: int | None, *, bounded: bool) -> tuple[str, ...]:
    """Say what a JPEG seems to lack that decoded.

    Raises:
        DamagedImage: too much.
        BeyondBounds: to know, it has to be decoded once more, and that takes too long.
    """
    if image.ends_grey:
        again = not has_several_scans(image)
        if bounded and again and 2 * jpeg_bound_ns(image.data, side, MAX_NS) > MAX_NS:
            raise BeyondBounds
        if ends_early(image, side):
            return (missing_end(image),)
    damage = damage_inside(image)
    return (damage,) if damage else ()


def ends_early(image: JpegFile, side: int | None) -> bool:
    """Whether the data of a decoded image that ends grey is at its end before the last pixel.

    Without its end marker such a file does not decode: libjpeg waits for more. Takes as long as
    decoding once more.
    """
    if has_several_scans(image):
        return _lacks_scans(image)
    end = image.data.find(b"\xff\xd9", image.scan_at)
    if end < 0:
        return False
    again = JpegFile(image.data[:end] + READ_AHEAD)
    if side:
        again.shrink(side)
    try:
        again.load()
    except OSError:
        return True
    return False


def missing_end(image: JpegFile) -> str:
    """Say how much an image lacks whose data ends early.

    Raises:
        DamagedImage: too much for an answer.
    """
    filler = Image.new(image.mode, image.size, image.getpixel((image.width - 1, image.height - 1)))
    box = ImageChops.difference(image, filler).getbbox(alpha_only=False)
    missing = 1 - box[3] / image.height if box else 1.0
    if missing > MAX_MISSING:
        raise DamagedImage(
            "The JPEG image cannot be decoded to its end: "
            f"its data ends before the last {missing:.0%} of its rows."
        )
    return "The JPEG is damaged: its data ends before its last pixel."


def damage_inside(image: JpegFile) -> str | None:
    """Say what the markers of a decoded image tell about data that it lacks, if anything."""
    if has_several_scans(image):
        return MISSING_SCANS if _lacks_scans(image) else None
    data = image.data
    end = data.find(b"\xff\xd9", image.scan_at)
    if end < 0:
        return None
    interval = restart_interval(data)
    if interval and not _restarts_follow(image, interval, end):
        return MISSING_RESTARTS
    if end + 2 == len(data) and not image.end_was_read:
        return LEFT_OVER if data[-LAST_BYTES:-2].strip(PADDING) else None
    return None


def has_several_scans(image: JpegFile) -> bool:
    return "progressive" in image.info or image.data[_scan_header_at(image) + 4] != image.layers


def _scan_header_at(image: JpegFile) -> int:
    """Where the header of the first scan begins, which has 8 bytes and two for each component."""
    starts = (image.scan_at - 8 - 2 * components for components in (1, 2, 3, 4))
    return next(at for at in starts if image.data[at : at + 2] == b"\xff\xda")


def _lacks_scans(image: JpegFile) -> bool:
    """Whether no scan gives some bits of some coefficients (T.81, annex G)."""
    data, at = image.data, _scan_header_at(image)
    complete = dict.fromkeys((layer[0] for layer in image.layer), 0)
    for _ in range(MAX_SEGMENTS):
        if data[at + 1] == SOS:
            count = data[at + 4]
            first, last, bits = data[at + 5 + 2 * count : at + 8 + 2 * count]
            if not bits & 15:
                coefficients = (1 << last + 1) - (1 << first)
                for component in data[at + 5 : at + 5 + 2 * count : 2]:
                    complete[component] = complete.get(component, 0) | coefficients
        elif data[at + 1] == EOI:
            break
        end = SCAN_END.search(data, at + 2 + (data[at + 2] << 8 | data[at + 3]))
        if end is None:
            break
        at = end.start()
    return any(bits != ALL_COEFFICIENTS for bits in complete.values())


def _restarts_follow(image: JpegFile, interval: int, end: int) -> bool:
    """Whether there are as many restart markers as there must be, in order, or one more."""
    header = frame_header(image.data)
    if header is None:
        return True
    count = -(-header.mcus // interval) - 1
    if image.data.count(b"\xff\xd0", image.scan_at, end) not in (-(-count // 8), count // 8 + 1):
        return False  # before a million of them take memory
    found = bytes(marker[1] for marker in RESTART.findall(image.data, image.scan_at, end))
    cycle = bytes(range(0xD0, 0xD8)) * (count // 8 + 1)
    return found in (cycle[:count], cycle[: count + 1])
