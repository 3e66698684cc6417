"""Settings of Pillow that hold for the whole process."""

import warnings

from PIL import Image


def configure() -> None:
    """Turn off Pillow's own limit and its warnings; call once, at the start of a process."""
    # ImageLimits is checked before anything is decoded; Pillow's limit would only get in its way.
    Image.MAX_IMAGE_PIXELS = None
    # Warnings about odd metadata change no answer, but would let a hostile client fill the log and
    # the interpreter's registry of warnings.
    warnings.filterwarnings("ignore", module=r"PIL\.")
