"""The orientation that an XMP packet states, for images whose EXIF states none."""

import re

from app.images.crop import ORIENTATIONS, Orientation

# As an attribute or as an element (XMP specification part 2, section "TIFF namespace").
ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")
MAX_BYTES = 2**20


def xmp_orientation(packet: object) -> Orientation:
    """Read the orientation from an XMP packet in UTF-8; without one, as stored."""
    found = ORIENTATION.search(packet[:MAX_BYTES]) if isinstance(packet, bytes) else None
    return ORIENTATIONS[int(found[1]) - 1] if found else ORIENTATIONS[0]
