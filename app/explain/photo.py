"""Where the input of a model lies in the photo, as it is displayed."""

from app.errors import ImageError
from app.images.crop import ORIENTATIONS, Box, CropRule, crop_box, exif_orientation, needed_side
from app.images.decode import bound_ns
from app.images.formats import sniff
from app.images.jpeg.bound import MAX_NS
from app.images.jpeg.file import JpegFile
from app.images.plugins.opening import OPEN
from app.images.xmp import xmp_orientation


def input_region(data: bytes, resolution: int, rule: CropRule) -> Box | None:
    """The region that the model sees, in pixels of the displayed photo.

    None for files whose header a worker must not read; the helper process decodes those.
    """
    name = sniff(data)
    if bound_ns(name, data, needed_side(resolution, rule)) > MAX_NS:
        return None
    try:
        image = JpegFile(data) if name == "JPEG" else OPEN[name](data)
    except ImageError:
        raise
    except Exception:  # of Pillow, of many kinds; the pixels could be decoded
        return None
    orientation = exif_orientation(image.info.get("exif"))
    if orientation is None:
        xmp = image.info.get("xmp")
        orientation = xmp_orientation(xmp) if xmp else ORIENTATIONS[0]
    return crop_box(*orientation.swap(*image.size), resolution, rule)


def part(region: Box, left: float, top: float, right: float, bottom: float) -> Box:
    """A part of a region, given in fractions of its sides."""
    width, height = region.right - region.left, region.bottom - region.top
    return Box(
        region.left + left * width,
        region.top + top * height,
        region.left + right * width,
        region.top + bottom * height,
    )
