"""Measure what decoding costs at most: `python -m loadtest.robustness.decode_costs`.

The constants of `app/images/jpeg/bound.py` and `chunk_bound.py` are maxima of these figures. Each
line has the processor time of opening and decoding a file, and the bound that the constants give.
"""

import io
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageFile
from rich import box
from rich.console import Console
from rich.table import Table

from app.card.card import Preprocessing
from app.images import pillow_settings
from app.images.decode import bound_ns, load_image
from app.images.formats import sniff
from app.images.limits import ImageLimits
from app.system.memory import map_large_blocks
from loadtest.robustness.structured_images.chunks import chunk, webp
from loadtest.robustness.structured_images.chunks import png as black_png
from loadtest.robustness.structured_images.jpeg import jpeg, progressive_jpeg

WIDTH, HEIGHT = 1500, 1000
RUNS = 3
SIDE = 256  # of the smaller side, for 224 pixels
RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
RANDOM = np.random.default_rng(0)


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def noise(levels: int = 256) -> Image.Image:
    step = 255 // (levels - 1)
    pixels = RANDOM.integers(0, levels, (HEIGHT, WIDTH, 3)) * step
    return Image.fromarray(pixels.astype(np.uint8))


def noisy_png(levels: int, samples: int, colour: int, depth: int = 8) -> bytes:
    """Make a PNG of noise whose rows are filtered by Paeth, the slowest filter."""
    step = 255 // (levels - 1)
    rows = RANDOM.integers(0, levels, (HEIGHT, 1 + WIDTH * samples)).astype(np.uint8) * step
    rows[:, 0] = 4
    made = black_png(8, 8, depth=depth, colour=colour)
    header = WIDTH.to_bytes(4) + HEIGHT.to_bytes(4) + made[24:29]
    coded = chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
    return made[:8] + chunk(b"IHDR", header) + coded + chunk(b"IEND")


def jpegs() -> Iterator[tuple[str, bytes]]:
    for quality in (75, 100):
        for subsampling in (0, 2):
            for progressive in (False, True):
                name = f"noise, quality {quality}, subsampling {subsampling}"
                options = {"quality": quality, "subsampling": subsampling}
                yield (
                    f"{'progressive' if progressive else 'baseline'} JPEG, {name}",
                    saved(noise(), "JPEG", progressive=progressive, **options),
                )
    cmyk = noise().convert("CMYK")
    yield "progressive JPEG, CMYK noise", saved(cmyk, "JPEG", quality=95, progressive=True)
    yield "baseline JPEG, no data", jpeg(WIDTH, HEIGHT)
    restart = b"\xff\xdd\0\4\0\1"
    yield "baseline JPEG, no data, restart interval 1", jpeg(WIDTH, HEIGHT, header=restart)
    for factors in ((0x42, 0x11, 0x11), (0x11, 0x22, 0x22), (0x41, 0x21, 0x11)):
        yield f"baseline JPEG, sampling {factors}", jpeg(WIDTH, HEIGHT, factors=factors)
    for scans in (2, 10, 90):
        yield f"progressive JPEG, {scans} empty scans", progressive_jpeg(WIDTH, HEIGHT, scans)


def others() -> Iterator[tuple[str, bytes]]:
    for name, samples, colour, depth in (
        ("grey", 1, 0, 8), ("RGB", 3, 2, 8), ("RGBA", 4, 6, 8), ("16-bit RGBA", 8, 6, 16),
    ):  # fmt: skip
        for levels in (4, 16, 256):
            yield f"PNG, {name}, {levels} levels", noisy_png(levels, samples, colour, depth)
        yield (
            f"PNG, {name}, interlaced, black",
            black_png(WIDTH, HEIGHT, depth=depth, colour=colour, interlace=1, row_filter=4),
        )
    for quality in (1, 75, 100):
        yield f"WebP, quality {quality}", saved(noise(), "WEBP", quality=quality, method=0)
    for levels in (4, 16, 256):
        yield f"WebP, lossless, {levels} levels", saved(noise(levels), "WEBP", lossless=True)
    yield "WebP, lossless, one colour", webp(WIDTH, HEIGHT)


def cpu_ms(data: bytes) -> float:
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        load_image(data, 224, RULE, ImageLimits())
        times.append((time.process_time() - began) * 1000)
    return min(times)


def main() -> None:
    """Print what each file costs, and its bound."""
    pillow_settings.configure()
    map_large_blocks()
    ImageFile.MAXBLOCK = 2**26  # for writing noise
    table = Table("image", "bytes", "ms", "ns/pixel", "ns/byte", "bound ms", box=box.SIMPLE_HEAD)
    for cases in (jpegs(), others()):
        for name, data in cases:
            cost_ms = cpu_ms(data)
            bound_ms = bound_ns(sniff(data), data, SIDE) / 1e6
            color = "[red]" if cost_ms > bound_ms else ""
            table.add_row(
                name, str(len(data)), f"{cost_ms:.1f}", f"{cost_ms * 1e6 / WIDTH / HEIGHT:.1f}",
                f"{cost_ms * 1e6 / len(data):.1f}", f"{color}{bound_ms:.1f}",
            )  # fmt: skip
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
