"""Memory management of the C library and of Python.

glibc keeps freed memory for later use: after images of tens of megapixels that is hundreds of MB,
on a board that has 1 GB. Other C libraries do not do this and lack these calls.

Python's garbage collector scans all objects whenever their number has grown by a quarter. During
the start this takes 0.1 s, and each later scan is a pause of 0.14 s without any answer.
"""

import ctypes
import gc

# glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# More than a decoded image of 1920 x 1080. glibc maps larger blocks separately; by default it
# raises this threshold to up to 32 MB as such blocks are freed.
LARGE_BYTES = 10 * 2**20


def map_large_blocks(large_bytes: int = LARGE_BYTES) -> None:
    """Let glibc return the memory of large images at once, and keep that of typical ones.

    Setting M_MMAP_THRESHOLD alone freezes M_TRIM_THRESHOLD at 128 kB, so set both. With 128 kB,
    every image of 1280 x 720 returns 1 MB and allocates it again, a tenth of its time.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, large_bytes)
        library.mallopt(M_TRIM_THRESHOLD, large_bytes)


def return_free_memory() -> None:
    """Return all free memory to the system, which takes some milliseconds."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def pause_garbage_collection() -> None:
    """Disable scans while modules are loaded, which creates almost no garbage."""
    gc.disable()


def resume_garbage_collection() -> None:
    """Enable scans again, without the objects that exist now: they live as long as the process."""
    gc.freeze()
    gc.enable()
