"""Every kind of pixels as RGB: palettes, bits, 16-bit grey, transparency.

Transparent pixels are composited over white, and 16-bit grey is scaled to 8 bits.
"""

from PIL import Image


def averageable(image: Image.Image) -> Image.Image:
    """Convert to pixels that can be averaged: no palette indices, bits or transparent colours."""
    if image.mode.startswith("I;16"):
        return image
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        opaque = "L" if image.mode == "1" else "RGB"
        return image.convert("RGBA" if image.has_transparency_data else opaque)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a small image of any supported mode to RGB, transparent pixels over white."""
    if image.mode.startswith("I;16"):
        # (level + 128) // 257; half a level more keeps it right in floating point
        image = image.convert("I").point(lambda level: level * (1 / 257) + 128.5 / 257)
        image = image.convert("L")
    if image.mode in {"LA", "RGBA", "RGBa"}:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def native16(image: Image.Image, *, inverted: bool) -> Image.Image:
    """Convert 16-bit grey to the byte order that Pillow resizes; others stay as they are."""
    if image.mode != "I;16B" and not inverted:
        return image
    levels = image.convert("I")
    if inverted:
        levels = levels.point(lambda level: level * -1 + 65535)
    return levels.convert("I;16")


def with_white_around(image: Image.Image, frame: tuple[int, int, int, int] | None) -> Image.Image:
    """Whiten, in place, what the first frame of an animation does not cover."""
    width, height = image.size
    left, top, right, bottom = frame or (0, 0, width, height)
    for region in (
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    ):
        if region[0] < region[2] and region[1] < region[3]:
            image.paste("white", region)
    return image
