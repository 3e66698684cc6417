"""What a caller may call an image, as an encoded file."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mobilenet_gateway_client._errors import UnreadableImage

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Source: TypeAlias = str | os.PathLike[str] | bytes | Image | np.ndarray[Any, Any]
else:
    Source: TypeAlias = Any

Several: TypeAlias = list[Any] | tuple[Any, ...]  # of sources; a string is a sequence, but a path
UNSCALED = ("F", "I")  # floats and 32-bit integers: Pillow would cut them off at 255
UNREADABLE = (OSError, ValueError, SyntaxError)  # Pillow's for cut off, closed, a broken PNG
FAST = 1  # zlib's level: pixels go to a machine nearby, once


def encode(source: Source) -> bytes:
    """An encoded image: files and bytes as they are, pixels as PNG.

    Pixels are a PIL image, turned as its EXIF orientation says, or an array of uint8, [H, W] grey
    or [H, W, 3] RGB or [H, W, 4] RGBA.

    Raises:
        UnreadableImage: the file cannot be read, or the pixels are of another form.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        try:
            return Path(source).read_bytes()
        except (OSError, ValueError) as error:  # of a name that no file can have
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableImage(f"{os.fspath(source)}: {reason}") from error
    return _encode_pixels(source)


def _encode_pixels(source: Any) -> bytes:
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise UnreadableImage("to send pixels, Pillow is needed: pip install pillow") from error
    if not isinstance(source, Image.Image):
        shape, kind = getattr(source, "shape", None), getattr(source, "dtype", None)
        if shape is None or kind is None:
            raise UnreadableImage(
                f"a {type(source).__name__} is no image; "
                "give a path, bytes, a PIL image or an array of uint8"
            )
        if kind != "uint8" or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
            raise UnreadableImage(
                f"an array of {kind} and shape {list(shape)} is no image; "
                "give uint8 [H, W], [H, W, 3] or [H, W, 4]"
            )
        if 0 in shape:
            raise UnreadableImage(f"an array of shape {list(shape)} has no pixels")
        source = Image.fromarray(source)
    if source.mode in UNSCALED:
        raise UnreadableImage(
            f"an image of mode {source.mode} does not say which values are black and white; "
            "scale it to 0 ... 255 and give RGB or L"
        )
    try:  # pixels of an opened file are read now
        # the tag goes with the file, so that an opened photo and its path are the same image
        return _png(ImageOps.exif_transpose(source))
    except UNREADABLE as error:
        raise UnreadableImage(f"the image cannot be read: {error}") from error


def _png(image: "Image") -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, "PNG", compress_level=FAST)
    except OSError:  # a mode that PNG has not, such as CMYK
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", compress_level=FAST)
    return buffer.getvalue()
