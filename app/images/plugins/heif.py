"""AVIF and HEIC: the HEIF container (ISO/IEC 23008-12) with AV1 and with HEVC.

Their decoders are large, so that only the helper process imports them, when it needs them. Of a
sequence they open the primary image.
"""

import io
from importlib.util import find_spec

from PIL.ImageFile import ImageFile

from app.errors import UnsupportedFormat


def heic_is_installed() -> bool:
    """Whether there is a decoder for HEIC: the extra `heif`."""
    return find_spec("pi_heif") is not None


def open_avif(data: bytes) -> ImageFile:
    """Open an AVIF image; Pillow gives the container's irot and imir as EXIF orientation."""
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        raise _without_decoder() from None
    if not AvifImagePlugin.SUPPORTED:
        raise _without_decoder()
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    image.info.pop("xmp", None)  # the container alone says how the image is turned
    return image


def open_heic(data: bytes) -> ImageFile:
    """Open a HEIC image; libheif turns and crops it as its container says."""
    import pi_heif

    pi_heif.options.DECODE_THREADS = 1
    image: ImageFile = pi_heif.HeifImageFile(io.BytesIO(data))
    for key in ("exif", "xmp"):
        image.info.pop(key, None)
    return image


def _without_decoder() -> UnsupportedFormat:
    return UnsupportedFormat("AVIF files are not supported here: Pillow was built without libavif.")
