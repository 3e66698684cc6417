"""Memory for the pixels of images, which the threads that decode share.

A small file can be a large picture. Without a common limit every worker may decode the largest one
at once, and the more cores a machine has, the more memory it would have to keep for that.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

SMALL_BYTES = 4_000_000  # is not counted: a photo as cameras make them waits for nobody


class Room:
    """As many bytes as pictures may take together; one that takes more is decoded alone."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = self._free_bytes = limit_bytes
        self._freed = threading.Condition()
        self._turn = threading.Lock()  # or many small pictures would keep a large one waiting

    @contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Wait until there is room for a picture, and hold it meanwhile."""
        if size_bytes <= SMALL_BYTES:
            yield
            return
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
