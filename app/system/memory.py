"""How memory is kept and given back, by the C library and by Python.

glibc keeps what it may need again. After images of tens of millions of pixels that is hundreds of
MB, on a board that has 1 GB. Other C libraries have neither the habit nor these calls.

Python looks for cycles among all its objects whenever there are a quarter more of them. That is
0.1 s of a start, and later each time a pause of 0.14 s in which no request is answered.
"""

import ctypes
import gc

# glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# Larger than a decoded image of 1920 x 1080. What is larger is mapped for itself; unset, that limit
# rises to 32 MB with what is freed.
LARGE_BYTES = 10 * 2**20


def map_large_blocks() -> None:
    """Give back at once, from now on, what large images took, and keep what usual ones take.

    To keep is a threshold of its own: setting the other one ends its growth at 128 kB. Then every
    image of 1280 x 720 gives 1 MB back and takes it again, which is a tenth of its time.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)


def give_back_freed() -> None:
    """Give back all that is free, which takes some milliseconds."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def begin_start() -> None:
    """Do not look for cycles while modules are loaded, which make nearly none."""
    gc.disable()


def end_start() -> None:
    """Look for cycles from now on, but not among what is there: it stays to the end."""
    gc.freeze()
    gc.enable()
