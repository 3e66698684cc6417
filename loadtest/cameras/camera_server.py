"""A camera on this machine that answers over HTTP, well or badly, as it is told."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from loadtest.cameras.scenes import plain

Mode = Literal["mjpeg", "snapshot", "stall", "cut", "flood", "page", "endless", "trickle"]
Auth = Literal["basic", "digest"]
REALM, NONCE = "camera", "abc123"


@dataclass
class CameraServer:
    """Speaks HTTP/1.1 on a free port of 127.0.0.1; attributes can change at any time."""

    mode: Mode = "mjpeg"
    status: int = 200
    image: Callable[[], bytes] = lambda: plain(128)
    frames_per_s: float = 50
    boundary_line: bytes = b"--frame"
    boundary: str = "frame"
    with_length: bool = True
    etag: str | None = None
    content_type: str = "image/jpeg"
    auth: Auth | None = None
    user: str = "admin"
    password: str = "s3cret-word"  # noqa: S105  of no other camera
    requests: list[str] = field(default_factory=list)  # the heads
    port: int = 0
    sent: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._answer(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._server = await asyncio.start_server(connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Disappear: close the port and cut all connections."""
        if self._server:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    def show(self, image: bytes) -> None:
        self.image = lambda: image

    def url(self, path: str = "/stream", user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}{path}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.requests.append(head)
                if not await self._reply(head, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _reply(self, head: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays open."""
        if self.auth and not self._authorized(head):
            challenge = f'Basic realm="{REALM}"'
            if self.auth == "digest":
                challenge = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=MD5'
            writer.write(
                b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"
                b"WWW-Authenticate: %s\r\n\r\n" % challenge.encode()
            )
            await writer.drain()
            return True
        if self.status != 200:
            writer.write(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % self.status)
            await writer.drain()
            return True
        if self.mode == "snapshot":
            return await self._snapshot(head, writer)
        if self.mode == "page":
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
            )
            await writer.drain()
            return True
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=%s\r\n\r\n"
            % self.boundary.encode()
        )
        await self._stream(writer)
        return False

    async def _snapshot(self, head: str, writer: asyncio.StreamWriter) -> bool:
        known = re.search(r"(?im)^if-none-match: (.*?)\r?$", head)
        if self.etag and known and known[1] == self.etag:
            writer.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
            await writer.drain()
            return True
        image = self.image()
        etag = f"ETag: {self.etag}\r\n" if self.etag else ""
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\n{etag}"
            f"Content-Length: {len(image)}\r\n\r\n".encode()
            + image
        )
        await writer.drain()
        self.sent += 1
        return True

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            if self.mode == "stall":
                await asyncio.sleep(0.01)
                continue
            if self.mode == "endless":
                writer.write(self.boundary_line + b"\r\nContent-Type: image/jpeg\r\n\r\n")
                while True:
                    writer.write(b"\xff\xd8" + b"x" * 2**20)
                    await writer.drain()
            image = self.image()
            length = b"Content-Length: %d\r\n" % len(image) if self.with_length else b""
            part = b"%s\r\nContent-Type: image/jpeg\r\n%s\r\n" % (self.boundary_line, length)
            if self.mode == "cut":
                writer.write(part + image[: len(image) // 2])
                await writer.drain()
                return
            if self.mode == "trickle":
                for at in range(len(image)):
                    if writer.is_closing():
                        return
                    writer.write(image[at : at + 1])
                    await asyncio.sleep(0.01)
            writer.write(part + image + b"\r\n")
            await writer.drain()
            self.sent += 1
            await asyncio.sleep(0 if self.mode == "flood" else 1 / self.frames_per_s)

    def _authorized(self, head: str) -> bool:
        found = re.search(r"(?im)^authorization: (.*?)\r?$", head)
        if found is None:
            return False
        if self.auth == "basic":
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return found[1] == f"Basic {token}"
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', found[1]))
        path = head.split(" ")[1]

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()  # noqa: S324  as RFC 7616 says

        ours = md5(
            f"{md5(f'{self.user}:{REALM}:{self.password}')}:{NONCE}:{given.get('nc')}:"
            f"{given.get('cnonce')}:auth:{md5(f'GET:{path}')}"
        )
        return given.get("response") == ours


@asynccontextmanager
async def camera_server(server: CameraServer) -> AsyncIterator[CameraServer]:
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
