"""How many bytes of request bodies are in memory, and that they stay within a limit."""

from app.errors import Overloaded


class ByteBudget:
    """Bytes held by all requests together; used by the event loop's thread only."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def lease(self) -> "Lease":
        """Hold bytes as they come in; to be released at the end."""
        return Lease(self)


class Lease:
    """The bytes of one request."""

    __slots__ = ("_budget", "held_bytes")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold more bytes.

        Raises:
            Overloaded: all requests together would hold more than the limit.
        """
        budget = self._budget
        if budget.held_bytes + size_bytes > budget.limit_bytes:
            raise Overloaded(
                f"request bodies already hold {budget.held_bytes} bytes and the limit is "
                f"{budget.limit_bytes}"
            )
        budget.held_bytes += size_bytes
        self.held_bytes += size_bytes

    def release(self) -> None:
        """Give all bytes back; once is enough."""
        self._budget.held_bytes -= self.held_bytes
        self.held_bytes = 0
