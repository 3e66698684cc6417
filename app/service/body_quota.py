"""A limit on the bytes of request bodies in memory."""

from collections.abc import Callable

from app.errors import Overloaded

SMALL_BYTES = 2**20  # a photo
RESERVED = 1 / 8  # of the limit, for small bodies, so that slow senders of large ones leave some


class BodyQuota:
    """The bytes held by all requests together; event loop only."""

    def __init__(self, limit_bytes: int, largest_bytes: int = 0) -> None:
        """`largest_bytes` is the maximum of one body, which always fits an empty quota."""
        self.limit_bytes = limit_bytes
        self.large_limit_bytes = max(int(limit_bytes * (1 - RESERVED)), largest_bytes)
        self.held_bytes = 0
        self.make_room: Callable[[], object] = bool  # for the next attempt, if it can

    def lease(self) -> "Lease":
        """Start counting the bytes of one request."""
        return Lease(self)


class Lease:
    """The bytes of one request."""

    __slots__ = ("_quota", "held_bytes")

    def __init__(self, quota: BodyQuota) -> None:
        self._quota = quota
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Count more bytes.

        Raises:
            Overloaded: all requests together would hold more than the limit.
        """
        quota = self._quota
        is_small = self.held_bytes + size_bytes <= SMALL_BYTES
        limit_bytes = quota.limit_bytes if is_small else quota.large_limit_bytes
        if quota.held_bytes + size_bytes > limit_bytes:
            held_bytes = quota.held_bytes
            quota.make_room()
            raise Overloaded(
                f"Request bodies hold {held_bytes} of {limit_bytes} bytes. Retry later."
            )
        quota.held_bytes += size_bytes
        self.held_bytes += size_bytes

    def release(self) -> None:
        """Return all bytes; may be called repeatedly."""
        self._quota.held_bytes -= self.held_bytes
        self.held_bytes = 0
