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
