"""Memory for decoding, which the worker threads share.

A small file can be a large image. Without a common limit every worker could decode the largest
image at once, and a machine with more cores would need more memory for that.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SMALL_BYTES = 4_000_000  # not counted, so that a camera's photo never waits


class DecodeMemory:
    """Bytes that images may take together; one that needs more is decoded alone."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = self._free_bytes = limit_bytes
        self._freed = threading.Condition()
        self._turn = threading.Lock()  # keeps small images from starving a large one

    @contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Wait until the memory for an image is free, and hold it meanwhile."""
        taken_bytes = min(size_bytes, self._limit_bytes)
        with self._turn, self._freed:
            self._freed.wait_for(lambda: self._free_bytes >= taken_bytes)
            self._free_bytes -= taken_bytes
        try:
            yield
        finally:
            with self._freed:
                self._free_bytes += taken_bytes
                self._freed.notify()


UNLIMITED = DecodeMemory(sys.maxsize)
