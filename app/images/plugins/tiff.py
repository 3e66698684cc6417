"""TIFF images, as far as their pixels come out right; the others are rejected by name.

TIFF 6.0; the tags' numbers are in section "TIFF Tags Sorted by Number".
"""

from typing import Any

from PIL import ImagePalette
from PIL.TiffImagePlugin import COMPRESSION_INFO, TiffImageFile

from app.errors import UnsupportedFormat
from app.images.shared_file import readable

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIPS, ORIENTATION, SAMPLES, PLANES, COLORMAP = 273, 274, 277, 284, 320
TILE_WIDTH, TILE_LENGTH, TILES = 322, 323, 324
EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 338, 339, 530
UNCOMPRESSED = 1
WHITE_IS_ZERO, BLACK_IS_ZERO, YCBCR = 0, 1, 6
GREYS = (WHITE_IS_ZERO, BLACK_IS_ZERO)
SEPARATE = 2

# The codecs that photos use.
COMPRESSIONS = frozenset(
    ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg")
)
DEPTHS = frozenset((1, 2, 4, 8, 16))
COLOURS = {
    0: "grey", 1: "grey", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELAB",
    9: "ICCLAB", 10: "ITULAB", 32803: "raw sensor", 34892: "raw sensor",
}  # fmt: skip
FORMATS = {2: " signed", 3: " floating-point", 5: " complex", 6: " complex"}


class TiffFile(TiffImageFile):
    """An opened TIFF."""

    def __init__(self, data: bytes) -> None:
        self.white_is_zero = False
        super().__init__(readable(data))
        # Pillow turns an image by its tag, and by XMP in one of its spellings.
        xmp = self.info.pop("xmp", None)
        self.xmp = None if ORIENTATION in self.tag_v2 else xmp

    def _setup(self) -> None:
        """Read the tags of the first image.

        Raises:
            UnsupportedFormat: its pixels would not be right, or their compression is not supported.
        """
        tags = dict(self.tag_v2)
        _check_compression(tags)
        if not _is_decodable(tags):
            raise UnsupportedFormat(f"TIFF images with {_pixels(tags)} are not supported.")
        # Pillow inverts only samples of up to 8 bits.
        self.white_is_zero = (_bits(tags), tags.get(PHOTOMETRIC, 0)) == ((16,), WHITE_IS_ZERO)
        if self.white_is_zero:
            self.tag_v2[PHOTOMETRIC] = BLACK_IS_ZERO
        try:
            super()._setup()
        except SyntaxError:
            if tags.keys() & {STRIPS, TILES}:
                raise UnsupportedFormat(
                    f"TIFF images with {_pixels(tags)} are not supported."
                ) from None
            raise
        colours = tags.get(COLORMAP, ())
        if self.mode in {"P", "PA"} and max(colours, default=0) < 256:  # scanners write 8 bits
            self.palette = ImagePalette.raw("RGB;L", bytes(colours))

    @property
    def allocated_size(self) -> tuple[int, int]:
        """The size that the decoder allocates: a small image can have a giant tile."""
        width, height, tile_width, tile_height = (
            self.tag_v2.get(tag, 1) for tag in (WIDTH, LENGTH, TILE_WIDTH, TILE_LENGTH)
        )
        return -(-width // tile_width) * tile_width, -(-height // tile_height) * tile_height


def _check_compression(tags: dict[int, Any]) -> None:
    number = tags.get(COMPRESSION, 1)
    name = COMPRESSION_INFO.get(number, f"the unknown ({number})")
    if name not in COMPRESSIONS:
        raise UnsupportedFormat(f"TIFF images with {name} compression are not supported.")


def _is_decodable(tags: dict[int, Any]) -> bool:
    """Whether Pillow decodes to the right pixels what it decodes of this kind."""
    depths = set(_bits(tags))
    separate = tags.get(PLANES, 1) == SEPARATE and tags.get(SAMPLES, 1) > 1
    subsampled = tags.get(PHOTOMETRIC) == YCBCR and tags.get(SUBSAMPLING, (2, 2)) != (1, 1)
    if not depths <= DEPTHS or not set(tags.get(SAMPLE_FORMAT, (1,))) <= {1}:
        return False
    if separate and (max(depths) > 8 or tags.get(PHOTOMETRIC, WHITE_IS_ZERO) in GREYS):
        return False
    return not (subsampled and tags.get(COMPRESSION, 1) == UNCOMPRESSED)


def _bits(tags: dict[int, Any]) -> tuple[int, ...]:
    return tuple(tags.get(BITS, (1,))) or (1,)


def _pixels(tags: dict[int, Any]) -> str:
    """Name the kind of pixels."""
    bits, colour = _bits(tags), tags.get(PHOTOMETRIC, WHITE_IS_ZERO)
    depth = "-".join(map(str, bits)) if len(set(bits)) > 1 else str(bits[0])
    samples = tags.get(SAMPLE_FORMAT, (1,))
    text = f"{depth}-bit{FORMATS.get(samples[0] if samples else 1, '')} "
    text += COLOURS.get(colour, f"colour space {colour}") + " pixels"
    if tags.get(EXTRA_SAMPLES):
        text += " and alpha"
    if colour == YCBCR and tags.get(SUBSAMPLING, (2, 2)) != (1, 1):
        text += ", subsampled and not compressed"
    if tags.get(FILL_ORDER, 1) == 2:
        text += " in reversed bit order"
    if tags.get(PLANES, 1) == SEPARATE:
        text += " in separate planes"
    return text
