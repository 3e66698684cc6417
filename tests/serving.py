"""The service under its real HTTP server, in a thread of the tests."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import httpx
import uvicorn
from starlette.types import ASGIApp

from app.http.application import Application
from app.http.protocol import Protocol
from app.http.server import KEEP_ALIVE_S
from app.settings import Settings

START_S = 180  # more than anything takes on a loaded machine


def served(
    settings: Settings, keep_alive_s: int = KEEP_ALIVE_S
) -> AbstractContextManager[httpx.Client]:
    """A client of a service with these settings, on a free port."""
    return serving(Application(settings), Protocol, keep_alive_s)


@contextmanager
def serving(
    app: ASGIApp,
    http: type[asyncio.Protocol] | Literal["httptools"] = "httptools",
    keep_alive_s: int = KEEP_ALIVE_S,
) -> Iterator[httpx.Client]:
    """A client of an application, on a free port; any application runs on uvicorn's own HTTP."""
    config = uvicorn.Config(
        app, port=0, http=http, log_config=None, access_log=False, timeout_keep_alive=keep_alive_s
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield from _client(server, thread)
    finally:
        server.should_exit = True
        thread.join()


def _client(server: uvicorn.Server, thread: threading.Thread) -> Iterator[httpx.Client]:
    give_up_at = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        assert time.monotonic() < give_up_at, "the service takes too long to start"
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=START_S, trust_env=False) as client:
        yield client
