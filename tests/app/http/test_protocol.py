"""What a connection does between requests; tests/robustness has what hostile clients send."""

import ast
import inspect
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.http import uvicorn_internals
from app.http.fast_predict import FastPredict
from app.http.protocol import Protocol
from app.settings import Settings
from tests.processes import LIVELINESS_S
from tests.robustness.sockets import closed_by_server, head, reply
from tests.serving import served

BRIEF_S = 1
TRICKLE = 100  # bytes in ten times as long


@pytest.fixture(scope="module")
def brief(store: Path) -> Iterator[httpx.Client]:
    """A service that keeps idle connections for a second."""
    with served(Settings(store=store), BRIEF_S) as client:
        yield client


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    address = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(address, LIVELINESS_S) as opened:
        yield opened


UNFINISHED = [
    pytest.param(head("/predict?model=nope", Content_Length=1000), id="on-the-connection"),
    pytest.param(head("/healthz", "GET", Content_Length=1000), id="by-asgi"),
]


@pytest.mark.parametrize("sent", UNFINISHED)
def test_a_body_that_stops_after_its_answer_ends_the_connection(
    brief: httpx.Client, sent: bytes
) -> None:
    with connected(brief) as opened:
        opened.sendall(sent)
        reply(opened)
        opened.sendall(b"x")
        assert closed_by_server(opened)


@pytest.mark.parametrize("sent", UNFINISHED)
def test_a_body_that_trickles_after_its_answer_ends_the_connection(
    brief: httpx.Client, sent: bytes
) -> None:
    trickled = 0
    with connected(brief) as opened:
        opened.sendall(sent)
        reply(opened)
        with suppress(ConnectionError):
            while trickled < TRICKLE:
                opened.sendall(b"x")
                trickled += 1
                time.sleep(BRIEF_S / 10)
    assert trickled < TRICKLE


def test_a_request_behind_a_body_that_came_after_its_answer_has_its_own_time(
    brief: httpx.Client,
) -> None:
    with connected(brief) as opened:
        opened.sendall(head("/predict?model=nope", Content_Length=3))
        assert reply(opened).status == 404
        opened.sendall(b"xxx" + head("/predict", Content_Length=3))
        time.sleep(2 * BRIEF_S)
        opened.sendall(b"xxx")
        assert reply(opened).status == 400


def test_what_is_used_of_uvicorn_is_listed() -> None:
    """A new version of uvicorn that lacks something fails here, and so does a use that is new."""
    assigned = re.findall(r"self\.(\w+)(?:: [^=\n]+)? =", inspect.getsource(HttpToolsProtocol))
    of_uvicorn = {*dir(HttpToolsProtocol), *assigned}
    tree = ast.parse(inspect.getsource(Protocol))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "super()")
    }
    overridden = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    public = {name for name in (used | overridden) & of_uvicorn if not name.startswith("__")}
    assert public == {*uvicorn_internals.ATTRIBUTES, *uvicorn_internals.METHODS}


def test_a_fast_prediction_has_what_uvicorn_uses_of_its_cycle() -> None:
    """Apart from two, which are used of uvicorn's own cycles only."""
    cycle = inspect.getsource(RequestResponseCycle.__init__)
    assert all(f"self.{name} = " in cycle for name in uvicorn_internals.CYCLE_ATTRIBUTES)
    own = inspect.getsource(FastPredict)
    for name in set(uvicorn_internals.CYCLE_ATTRIBUTES) - {"transport", "response_started"}:
        assert re.search(rf"^( {{4}}| {{8}}self\.){name} = ", own, re.MULTILINE), name
