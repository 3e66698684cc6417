"""The memory for decoding, which the workers share.

A small file can be a large image. Without a common limit, all workers could decode one of the
maximum size at the same time, and a machine with more cores would need more memory.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SMALL_BYTES = 4_000_000  # images that need no more are not counted and never wait


class DecodeMemory:
    """Bytes for all images being decoded; an image that needs more is decoded alone."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = self._free_bytes = limit_bytes
        self._freed = threading.Condition()
        self._turn = threading.Lock()  # keeps small images from starving a large one

    @contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Wait until the memory for an image is free, and hold it during the block."""
        held_bytes = min(size_bytes, self.limit_bytes)
        with self._turn, self._freed:
            self._freed.wait_for(lambda: self._free_bytes >= held_bytes)
            self._free_bytes -= held_bytes
        try:
            yield
        finally:
            with self._freed:
                self._free_bytes += held_bytes
                self._freed.notify()


UNLIMITED = DecodeMemory(sys.maxsize)
