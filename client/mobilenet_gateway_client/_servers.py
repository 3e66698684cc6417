"""The gateways that share the requests of one client: the least busy first, without dead ones."""

import logging
import random
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias

import httpx

from mobilenet_gateway_client._retry import retry_after_s
from mobilenet_gateway_client._transport import Http

FIRST_S, LONGEST_S = 0.5, 30.0  # how long a gateway that fails is left alone

log = logging.getLogger(__name__)
Reply: TypeAlias = httpx.Response | httpx.TransportError


@dataclass(slots=True, eq=False)
class Server(Generic[Http]):
    """One gateway and what is known of it."""

    http: Http
    workers: int = 1
    in_flight: int = 0
    failures: int = 0  # in a row, each of a request that was sent after the one before
    left_until: float = 0.0

    @property
    def load(self) -> float:
        """Requests for each worker if it gets one more."""
        return (self.in_flight + 1) / self.workers


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Http]):
    """A request that is in flight, and the failures of its gateway when it was sent."""

    server: Server[Http]
    failures: int


class Servers(Generic[Http]):
    """Chooses the gateway of each request; for any number of threads."""

    def __init__(self, https: Sequence[Http]) -> None:
        self.all: list[Server[Http]] = [Server(http) for http in https]
        self._lock = threading.Lock()

    def begin(
        self, tried: Collection[Server[Http]] = (), only: Server[Http] | None = None
    ) -> Attempt[Http] | None:
        """Count a request as in flight at the `only` gateway, or else at the least busy one.

        None if there is no use in another attempt. The first request is sent in any case. Gateways
        that failed come after all others, and a request that was tried elsewhere does not go to
        them.
        """
        with self._lock:
            server = only or self._choose(tried)
            if server is None:
                return None
            server.in_flight += 1
            return Attempt(server, server.failures)

    def end(self, attempt: Attempt[Http]) -> None:
        """The request is not in flight any more."""
        with self._lock:
            attempt.server.in_flight -= 1

    def judge(self, attempt: Attempt[Http], reply: Reply) -> bool:
        """Note what an answer says of its gateway; whether it has to be tried elsewhere.

        All requests that are in flight when a gateway dies are one failure together. Otherwise, one
        with many workers would be left alone for the longest time at once.
        """
        server = attempt.server
        with self._lock:
            if isinstance(reply, httpx.TransportError):
                if server.failures > attempt.failures:
                    return True
                server.failures += 1
                pause_s = _pause_s(server.failures)
                if server.failures == 1 and len(self.all) > 1:
                    log.warning("%s is left alone for a while: %s", server.http.base_url, reply)
            elif reply.status_code == 503:
                pause_s = retry_after_s(reply.headers.get("Retry-After"))
            else:
                server.failures, server.left_until = 0, 0.0
                return False
            server.left_until = time.monotonic() + pause_s
            return True

    def _choose(self, tried: Collection[Server[Http]]) -> Server[Http] | None:
        now = time.monotonic()
        others = [one for one in self.all if one not in tried]
        alive = [one for one in others if one.left_until <= now]
        if alive:
            chosen: Server[Http] = min(alive, key=lambda one: (one.load, random.random()))  # noqa: S311  not a secret
            if chosen.failures:  # let one request find out whether it is back
                chosen.left_until = now + _pause_s(chosen.failures)
            return chosen
        if tried or not others:
            return None
        first: Server[Http] = min(others, key=lambda one: one.left_until)
        return first


def _pause_s(failures: int) -> float:
    """Twice as long with each failure; at random, so that clients do not return at once."""
    grown_s = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 30))
    return grown_s * random.uniform(0.5, 1)  # noqa: S311  not a secret
