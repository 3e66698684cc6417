"""Bodies that take long to arrive make room for others when there is none.

Without this, a few clients that send slowly would hold all connections, or all memory for bodies,
until the deadlines of their requests.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from app.errors import RequestError, SlowBody

PATIENCE_S = 2


class Connection(Protocol):
    """What this module knows of a connection."""

    body_bytes: int  # of the last body
    body_since: float | None  # the time of the loop since which a body arrives, if one does

    @property
    def is_idle(self) -> bool:
        """No request is in flight."""

    def reject(self, error: RequestError) -> None:
        """Answer the request in flight with an error."""

    def drop(self) -> None:
        """End at once, and leave the set of connections."""


def end_oldest(connections: Iterable[Connection]) -> bool:
    """End the connection whose body has been arriving for longest; False if none takes long."""
    ended = _reject(connections, "connection", lambda slow: -(slow.body_since or 0))
    if ended is not None:
        ended.drop()
    return ended is not None


def end_largest(connections: Iterable[Connection]) -> None:
    """End the request whose body is the largest of those that take long to arrive."""
    _reject(connections, "memory", lambda slow: slow.body_bytes)


def _reject(
    connections: Iterable[Connection], missing: str, key: Callable[[Connection], float]
) -> Connection | None:
    began_before = asyncio.get_running_loop().time() - PATIENCE_S
    slow = [
        connection
        for connection in connections
        if connection.body_since is not None
        and connection.body_since <= began_before
        and not connection.is_idle
    ]
    if not slow:
        return None
    connection = max(slow, key=key)
    connection.reject(
        SlowBody(f"The body did not arrive in {PATIENCE_S} s while others found no {missing}.")
    )
    return connection
