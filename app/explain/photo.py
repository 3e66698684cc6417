"""Where the input of a model lies in the photo, as it is displayed."""

from functools import lru_cache
from typing import NamedTuple

from PIL.Image import Image

from app.errors import ImageError
from app.images.crop import ORIENTATIONS, Box, CropRule, crop_box, exif_orientation, needed_side
from app.images.decode import bound_ns
from app.images.formats import sniff
from app.images.jpeg.bound import MAX_NS
from app.images.jpeg.file import JPEG_START, JpegFile
from app.images.jpeg.plain import MAX_KEPT_BYTES, SCAN_HEADER_BYTES
from app.images.plugins.opening import OPEN
from app.images.xmp import xmp_orientation

START_OF_SCAN = b"\xff\xda"


def input_region(data: bytes, resolution: int, rule: CropRule) -> Box | None:
    """The region that the model sees, in pixels of the displayed photo.

    None for files whose header a worker must not read; the helper process decodes those. Cameras
    send the same header with every image, so what follows from one is kept.
    """
    scan_at = data.find(START_OF_SCAN, 0, MAX_KEPT_BYTES) if data.startswith(JPEG_START) else -1
    if scan_at > 0:
        header = data[: scan_at + SCAN_HEADER_BYTES]
        region = _kept_region(header, resolution, rule.resize, rule.crop_fraction)
        if region is not None:
            return region
    name = sniff(data)
    if bound_ns(name, data, needed_side(resolution, rule)) > MAX_NS:
        return None
    try:
        image = JpegFile(data) if name == "JPEG" else OPEN[name](data)
    except ImageError:
        raise
    except Exception:  # of Pillow, of many kinds; the pixels could be decoded
        return None
    return _region(image, resolution, rule)


def _region(image: Image, resolution: int, rule: CropRule) -> Box:
    orientation = exif_orientation(image.info.get("exif"))
    if orientation is None:
        xmp = image.info.get("xmp")
        orientation = xmp_orientation(xmp) if xmp else ORIENTATIONS[0]
    return crop_box(*orientation.swap(*image.size), resolution, rule)


class _Rule(NamedTuple):
    resize: str
    crop_fraction: float
    interpolation: str = ""


@lru_cache(64)
def _kept_region(header: bytes, resolution: int, resize: str, crop_fraction: float) -> Box | None:
    """The region by the header of a JPEG; None if the header goes on."""
    try:
        image = JpegFile(header)
    except Exception:  # of Pillow, of many kinds
        return None
    return _region(image, resolution, _Rule(resize, crop_fraction))


def part(region: Box, left: float, top: float, right: float, bottom: float) -> Box:
    """A part of a region, given in fractions of its sides."""
    width, height = region.right - region.left, region.bottom - region.top
    return Box(
        region.left + left * width,
        region.top + top * height,
        region.left + right * width,
        region.top + bottom * height,
    )
