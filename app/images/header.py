"""What the headers of formats other than JPEG declare beyond the size of the image.

Of an opened image: whether its pixels and its compression are supported, and how much memory its
decoder takes.
"""

from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import UnsupportedFormat

# Pillow modes without an agreed display range, or that Pillow cannot convert to RGB.
UNSUPPORTED_MODES = {
    "I": "32-bit integer",
    "F": "floating-point",
    "LAB": "CIELAB",
    "La": "premultiplied grey",
}

# The codecs that photos use. With the fax codecs libtiff writes a line to stderr per bad row.
TIFF_COMPRESSIONS = frozenset(
    ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg")
)

# The maximum measured for each format; docs/operations.md has the table, and a test repeats it.
BYTES_PER_PIXEL = {"PNG": 17, "WebP": 16, "TIFF": 12, "GIF": 9, "BMP": 4}


def check_supported(name: str, image: ImageFile) -> None:
    """Check what kind of pixels the header declares, and their compression.

    Raises:
        UnsupportedFormat: they cannot be decoded, or not to RGB.
    """
    if isinstance(image, TiffImageFile) and image.info["compression"] not in TIFF_COMPRESSIONS:
        raise UnsupportedFormat(
            f"TIFF images with {image.info['compression']} compression are not supported."
        )
    if image.mode in UNSUPPORTED_MODES:
        pixels = UNSUPPORTED_MODES[image.mode]
        raise UnsupportedFormat(f"{name} images with {pixels} pixels are not supported.")


def allocated_size(image: ImageFile) -> tuple[int, int]:
    """Return the size that the decoder allocates: a small TIFF can have a giant tile."""
    if not isinstance(image, TiffImageFile):
        return image.size
    # TIFF 6.0: ImageWidth, ImageLength, TileWidth, TileLength
    width, height, tile_width, tile_height = (
        image.tag_v2.get(tag, 1) for tag in (256, 257, 322, 323)
    )
    return -(-width // tile_width) * tile_width, -(-height // tile_height) * tile_height
