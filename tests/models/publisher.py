"""A publisher of files on this machine, with the habits that real ones have."""

import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Literal

CONTENT = bytes(range(256)) * 2000
STOPS_AT = 300_000

# resumes        answers a range with that range
# whole          knows no ranges: sends everything, whatever is asked
# breaks off     promises everything, and hangs up in the middle
# other bytes    sends another file of the same size
# too much       sends more than the file has
# short          sends less, and says that this is all
# unsatisfiable  refuses every range with 416
# slow           sends the first half, and the rest when `go` is set
# archived       sends a .tgz that has the file as ./weights.bin
# missing        404
Habit = Literal[
    "resumes",
    "whole",
    "breaks off",
    "other bytes",
    "too much",
    "short",
    "unsatisfiable",
    "slow",
    "archived",
    "missing",
]


def archive(files: dict[str, bytes]) -> bytes:
    """A gzipped tar archive of regular files by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


class Publisher(ThreadingHTTPServer):
    """Answers `/<habit>` with CONTENT or what the habit makes of it; keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.go = Event()

    def address(self, habit: Habit) -> str:
        return f"http://127.0.0.1:{self.server_port}/{habit.replace(' ', '-')}"


class Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        habit = self.path.strip("/").replace("-", " ")
        wanted = self.headers.get("Range")
        self.server.asked.append((habit, wanted))
        if habit == "missing":
            self._send(404, b"not here")
        elif habit == "unsatisfiable" and wanted:
            self._send(416, b"no such range")
        elif habit == "resumes" and wanted and (match := re.fullmatch(r"bytes=(\d+)-", wanted)):
            self._send(206, CONTENT[int(match[1]) :])
        elif habit == "slow":
            self._send(200, CONTENT[:STOPS_AT], promised=len(CONTENT))
            self.server.go.wait()
            self.wfile.write(CONTENT[STOPS_AT:])
        elif habit == "breaks off":
            self._send(200, CONTENT[:STOPS_AT], promised=len(CONTENT))
        else:
            bodies = {
                "other bytes": CONTENT[::-1],
                "too much": CONTENT + b"and more",
                "short": CONTENT[:STOPS_AT],
                "archived": archive({"./README": b"read me", "./weights.bin": CONTENT}),
            }
            self._send(200, bodies.get(habit, CONTENT))

    def _send(self, status: int, body: bytes, promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def publishing() -> Iterator[Publisher]:
    """A publisher that answers until the block ends."""
    with Publisher() as publisher:
        thread = Thread(target=publisher.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield publisher
        finally:
            publisher.go.set()
            publisher.shutdown()
            thread.join()
