"""Connections that clients keep end now and then, so that new replicas get their share."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.processes import LIVELINESS_S, until
from tests.robustness.sockets import Reply, closed_by_server, head, reply
from tests.serving import served

PREDICT = head("/predict?model=nope", Content_Length=0)  # on the connection itself
HEALTH = head("/healthz", "GET")  # by ASGI


def connected(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), LIVELINESS_S)


def ask(opened: socket.socket, request: bytes) -> Reply:
    opened.sendall(request)
    return reply(opened)


@pytest.fixture(scope="module")
def brief(store: Path) -> Iterator[httpx.Client]:
    with served(Settings(store=store, connection_max_age_s=1)) as client:
        yield client


@pytest.mark.parametrize("request_", [PREDICT, HEALTH], ids=["on-the-connection", "by-asgi"])
def test_an_old_connection_ends_behind_an_answer_that_says_so(
    brief: httpx.Client, request_: bytes
) -> None:
    with connected(brief) as opened:
        last: list[Reply] = []

        def says_so() -> bool:
            last[:] = [ask(opened, request_)]
            return last[0].headers["connection"] == "close"

        until(says_so, "the connection is old")
        assert last[0].status == (404 if request_ is PREDICT else 200)  # answered all the same
        assert closed_by_server(opened)


@pytest.mark.parametrize("max_age_s", [0, 3600])
def test_a_young_connection_is_kept(store: Path, max_age_s: float) -> None:
    settings = Settings(store=store, connection_max_age_s=max_age_s)
    with served(settings) as client, connected(client) as opened:
        for request in (PREDICT, HEALTH) * 5:
            assert ask(opened, request).headers["connection"] != "close"
