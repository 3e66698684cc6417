"""A file in memory that the service and its helper process share, instead of in a pipe.

It is copied once, not twice, and the helper begins while the rest is being copied. The service
writes it with system calls and never reads or maps it, so a decoder that a file has taken over can
alter only what it decodes itself.
"""

import io
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

PIECE_BYTES = 2**18  # copied in 40 us, of which the helper waits for the first only


class SharedMemory:
    """The service's side: memory for one file, kept from file to file."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self._size = size
        self._reserved = 0

    def reserve(self, size: int) -> bool:
        """Allocate the memory of a file, if it is not too large and there is memory for it."""
        if size <= self._size:
            try:
                if size > self._reserved:
                    os.posix_fallocate(self.descriptor, 0, size)
                    self._reserved = size
            except OSError:
                pass
            else:
                return True
        self.empty()
        return False

    def empty(self) -> None:
        """Return the memory to the system, before a file takes as much elsewhere."""
        if self._reserved:
            os.ftruncate(self.descriptor, 0)
            os.ftruncate(self.descriptor, self._size)
            self._reserved = 0

    def pieces(self, data: bytes) -> Iterator[None]:
        """Put a file there, piece by piece.

        Raises:
            OSError: there is no memory, although it was reserved: the helper has given it back.
        """
        for start in range(0, len(data), PIECE_BYTES):
            piece = memoryview(data)[start : start + PIECE_BYTES]
            while piece:
                written = os.pwrite(self.descriptor, piece, start)
                piece, start = piece[written:], start + written
            yield

    def close(self) -> None:
        os.close(self.descriptor)


def shared_memory(size: int) -> SharedMemory | None:
    """Return memory for a file of up to `size` bytes, None where the system has none to share."""
    try:
        descriptor = os.memfd_create("image")
    except (AttributeError, OSError):
        return None
    try:
        os.ftruncate(descriptor, size)
    except OSError:  # a limit on the size of files
        os.close(descriptor)
        return None
    return SharedMemory(descriptor, size)


class Arrival:
    """How much of a file is there."""

    def __init__(self, wait_for_piece: Callable[[], None]) -> None:
        self._wait_for_piece = wait_for_piece
        self._arrived = 0

    def wait_for(self, end: int) -> None:
        """Wait until all bytes before `end` are there."""
        while self._arrived < end:
            self._wait_for_piece()
            self._arrived += PIECE_BYTES


class SharedFile:
    """A file that reads like `bytes` and like `io.BytesIO`, each part once it is there."""

    def __init__(self, memory: memoryview, arrival: Arrival) -> None:
        self._memory = memory
        self._arrival = arrival
        self._position = 0

    def __len__(self) -> int:
        return len(self._memory)

    def __getitem__(self, part: slice) -> bytes:
        self._arrival.wait_for(part.indices(len(self))[1])
        return bytes(self._memory[part])

    def startswith(self, prefix: bytes) -> bool:
        return self[: len(prefix)] == prefix

    def getvalue(self) -> memoryview:
        """All of it, for libtiff."""
        self._arrival.wait_for(len(self))
        return self._memory

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"Negative seek value {offset}.")
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self)}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = None if size is None or size < 0 else self._position + size
        found = self[self._position : end]
        self._position += len(found)
        return found


class MappedMemory:
    """The helper's side: the memory that the service writes, mapped from file to file."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._mapped: mmap.mmap | None = None

    @contextmanager
    def file(self, size: int, wait_for_piece: Callable[[], None]) -> Iterator[bytes]:
        """The file that the service is putting there; to its decoder it is like `bytes`.

        Raises:
            OSError: the limit of address space allows no such memory.
        """
        arrival = Arrival(wait_for_piece)
        try:
            if self._mapped is None:
                self._mapped = mmap.mmap(
                    self._descriptor, self._size, mmap.MAP_SHARED, mmap.PROT_READ
                )
            with memoryview(self._mapped) as whole, whole[:size] as memory:
                yield cast("bytes", SharedFile(memory, arrival))
        finally:  # behind its last piece is the next job
            arrival.wait_for(size)

    def unmap(self) -> None:
        """Leave the address space to another copy of a file."""
        if self._mapped is not None:
            self._mapped.close()
            self._mapped = None


def readable(data: bytes) -> BinaryIO:
    """Open a file that is in memory, without a copy."""
    return cast("BinaryIO", data) if isinstance(data, SharedFile) else io.BytesIO(data)
