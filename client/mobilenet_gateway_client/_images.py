"""The image that a caller passes, as an encoded file."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mobilenet_gateway_client._errors import UnreadableImage

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    ImageSource: TypeAlias = str | os.PathLike[str] | bytes | Image | np.ndarray[Any, Any]
else:
    ImageSource: TypeAlias = Any

# Not `Sequence[ImageSource]`: a path is a sequence of strings too.
ImageList: TypeAlias = list[Any] | tuple[Any, ...]
MODES_WITHOUT_SCALE = ("F", "I")  # floats and 32-bit integers, which Pillow would clip at 255
PILLOW_ERRORS = (OSError, ValueError, SyntaxError)  # truncated file, closed file, broken PNG
FAST = 1  # zlib's level, for pixels that go to a machine nearby, once


def encode(source: ImageSource) -> bytes:
    """An encoded image: files and bytes unchanged, pixels as PNG.

    Pixels are a PIL image, rotated by its EXIF orientation, or a uint8 array: [H, W] grey,
    [H, W, 3] RGB or [H, W, 4] RGBA.

    Raises:
        UnreadableImage: the file cannot be read, or the pixels have another format.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        try:
            return Path(source).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: NUL or a surrogate in the name
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableImage(f"{os.fspath(source)}: {reason}") from error
    return _encode_pixels(source)


def _encode_pixels(source: Any) -> bytes:
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise UnreadableImage(
            "Sending pixels needs Pillow. Install it with `pip install pillow`."
        ) from error
    image = source if isinstance(source, Image.Image) else Image.fromarray(_check_array(source))
    if image.mode in MODES_WITHOUT_SCALE:
        raise UnreadableImage(
            f"Images of mode {image.mode} do not define which values are black and white. "
            "Scale the values to 0-255 and convert the image to RGB or L."
        )
    try:  # reads the pixels of an opened file
        # the pixels and the file of an opened photo are the same image, so apply the EXIF tag
        return _png(ImageOps.exif_transpose(image))
    except PILLOW_ERRORS as error:
        raise UnreadableImage(f"Cannot read the image: {error}") from error


def _check_array(source: Any) -> Any:
    """The array, if it has the shape and type of an image."""
    shape, dtype = getattr(source, "shape", None), getattr(source, "dtype", None)
    if shape is None or dtype is None:
        raise UnreadableImage(
            f"Unsupported image: {type(source).__name__}. "
            "Pass a path, bytes, a PIL image or a uint8 array."
        )
    if dtype != "uint8" or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
        raise UnreadableImage(
            f"Unsupported array: {dtype} {list(shape)}. "
            "Pass uint8 of shape [H, W], [H, W, 3] or [H, W, 4]."
        )
    if 0 in shape:
        raise UnreadableImage(f"An array of shape {list(shape)} has no pixels.")
    return source


def _png(image: "Image") -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, "PNG", compress_level=FAST)
    except OSError:  # a mode that PNG lacks, such as CMYK
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", compress_level=FAST)
    return buffer.getvalue()
