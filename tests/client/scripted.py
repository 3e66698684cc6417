"""A real HTTP server that answers as it was told to, for what a healthy gateway does not do."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import monotonic
from typing import Any

from app.request import examples


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, some time after so many requests; status 0 hangs up instead, None never ends."""

    status: int | None = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after_requests: int = 0


OVERLOADED = {
    "type": "urn:mobilenet-gateway:overloaded",
    "title": "Overloaded",
    "status": 503,
    "detail": "Queue full: 64 of 64 images waiting.",
}
INFO = Reply(200, {
    "version": "1", "workers": 1, "models": ["m"], "default_model": "m",
    "default_reason": "the only form of m", "settings": {},
})  # fmt: skip
GOOD = Reply(200, {**examples.ANSWER, "results": examples.ANSWER["results"][:1]})


def overloaded(retry_after: str) -> Reply:
    return Reply(503, OVERLOADED, {"Retry-After": retry_after})


@dataclass(slots=True)
class Script:
    """Replies in order, the last one again and again; `seen` has the time of each request."""

    url: str
    seen: list[float]
    headers: list[dict[str, str]]
    paths: list[str]


@contextmanager
def scripted(replies: Sequence[Reply]) -> Iterator[Script]:
    """A server that answers with these, whatever is asked."""
    script = Script("", [], [], [])
    over = Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = replies[min(len(script.seen), len(replies) - 1)]
            script.seen.append(monotonic())
            script.headers.append(dict(self.headers))
            script.paths.append(self.path)
            if reply.status is None:
                over.wait()
            if reply.after_requests:
                while len(script.seen) < reply.after_requests and not over.wait(0.01):
                    pass
                over.wait(0.3)
            if not reply.status:
                self.close_connection = True
                return
            text = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
