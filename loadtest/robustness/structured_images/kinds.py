"""Images with their structure pushed to its limits: many scans, segments, chunks, blocks or strips.

Unlike mutated bytes, these files are valid as far as a decoder follows them, so they find whatever
in it grows faster than the file.
"""

from collections.abc import Callable
from random import Random

from loadtest.robustness.structured_images import avif, bitmaps, chunks, jpeg

KINDS: dict[str, Callable[[Random], bytes]] = jpeg.KINDS | chunks.KINDS | bitmaps.KINDS | avif.KINDS


def structured_image(random: Random) -> tuple[str, bytes]:
    """Return the kind of an image, and the image, of at most about `MAX_FILE_BYTES`."""
    kind = random.choice(tuple(KINDS))
    return kind, KINDS[kind](random)
