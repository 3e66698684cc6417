"""Frames over HTTP: a snapshot that is polled, or MJPEG in parts; its answer tells which."""

import asyncio
import logging
import mmap
import socket
import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Literal

import httpx

from app import __version__
from app.cameras.frames.encoded_frame import EncodedFrame
from app.cameras.frames.frame import Frame
from app.cameras.sources.http_request import HttpRequest
from app.cameras.sources.multipart import MultipartError, MultipartFrames, boundary_of
from app.cameras.sources.source import SourceError
from app.cameras.sources.whole_file import JPEG_START

CONNECT_S, TLS_CONNECT_S = 1.5, 3.0  # weak cameras take a second for TLS
# A camera that lost power says no word; it is asked every second whether it still has the
# connection, and says so at once when it is back. A small buffer keeps what the kernel holds of a
# camera that floods from becoming memory of this process and old frames. Some are Linux's only.
SOCKET_OPTIONS = [
    (level, number, value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_RCVBUF", 2**18),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 1),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 4000),  # in milliseconds, without any answer
    )
    if (number := getattr(socket, name, None)) is not None
]
HEADERS = {
    "User-Agent": f"mobilenet-gateway/{__version__}",
    "Accept": "multipart/x-mixed-replace, image/*",
    "Accept-Encoding": "identity",  # what is compressed could be of any size
}

for name in ("httpx", "httpcore"):  # their lines hold addresses with the query
    logging.getLogger(name).setLevel(logging.WARNING)


class ChallengedAuth(httpx.Auth):
    """Digest or Basic, whichever the camera asks for; nothing before it asks."""

    def __init__(self, user: str, password: str) -> None:
        self._digest = httpx.DigestAuth(user, password)
        self._basic = httpx.BasicAuth(user, password)
        self._use_basic = False

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._use_basic:
            yield from self._basic.auth_flow(request)
            return
        digest = self._digest.auth_flow(request)
        request = next(digest)
        response = yield request
        offered = response.headers.get_list("www-authenticate")
        kinds = {one.partition(" ")[0].lower() for one in offered}
        if response.status_code == HTTPStatus.UNAUTHORIZED and "digest" not in kinds:
            if "basic" in kinds:
                self._use_basic = True
                yield from self._basic.auth_flow(request)
            return
        try:
            while True:
                response = yield digest.send(response)
        except StopIteration:
            pass


async def http_frames(wanted: HttpRequest) -> AsyncGenerator[Frame | None, None]:
    """Ask until cancelled.

    Raises:
        SourceError: it cannot be reached, or answers no images.
    """
    try:
        async with _client(wanted) as client, aclosing(_answers(client, wanted)) as frames:
            async for frame in frames:
                yield frame
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, MultipartError, OSError) as error:
        raise SourceError(_reason(error)) from None  # its text may hold the address


def _client(wanted: HttpRequest) -> httpx.AsyncClient:
    # Reading the authorities' certificates takes long, and only https needs them.
    secure = wanted.url.startswith("https:")
    transport = httpx.AsyncHTTPTransport(
        verify=wanted.verify_tls if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        trust_env=False,
        socket_options=SOCKET_OPTIONS,
    )
    connect_s = min(TLS_CONNECT_S if secure else CONNECT_S, wanted.stalled_s)
    return httpx.AsyncClient(
        auth=ChallengedAuth(*wanted.credentials) if wanted.credentials else None,
        headers=HEADERS,
        transport=transport,
        timeout=httpx.Timeout(wanted.stalled_s, connect=connect_s),
        follow_redirects=False,
        trust_env=False,
    )


async def _answers(
    client: httpx.AsyncClient, wanted: HttpRequest
) -> AsyncGenerator[Frame | None, None]:
    loop, known, last = asyncio.get_running_loop(), dict[str, str](), b""
    while True:
        due = loop.time() + wanted.poll_s
        async with client.stream("GET", wanted.url, headers=known) as answer:
            if answer.status_code != HTTPStatus.NOT_MODIFIED:
                _check(answer, wanted)
                content_type = answer.headers.get("content-type", "")
                if content_type.lower().startswith("multipart/"):
                    _tell(wanted, "mjpeg")
                    async with aclosing(_parts(answer, content_type, wanted)) as frames:
                        async for frame in frames:
                            yield frame
                    raise SourceError("The camera ended the stream.")
                _tell(wanted, "snapshot")
                data = await _body(answer, content_type, wanted.max_bytes)
                known = _validators(answer.headers)
                if data != last:
                    last = data
                    yield Frame(EncodedFrame(data, wanted.limits, wanted.memory))
        yield None
        await asyncio.sleep(max(0.0, due - loop.time()))


def _tell(wanted: HttpRequest, kind: Literal["snapshot", "mjpeg"]) -> None:
    if wanted.answers is not None:
        wanted.answers(kind)


async def _parts(
    answer: httpx.Response, content_type: str, wanted: HttpRequest
) -> AsyncGenerator[Frame, None]:
    parser = MultipartFrames(boundary_of(content_type), wanted.max_bytes)
    async for chunk in answer.aiter_raw():
        for data in parser.feed(chunk):
            yield Frame(EncodedFrame(data, wanted.limits, wanted.memory))


async def _body(answer: httpx.Response, content_type: str, max_bytes: int) -> bytes:
    with mmap.mmap(-1, max_bytes) as buffer:  # as it grows, a bytearray would fragment the heap
        async for chunk in answer.aiter_raw():
            if buffer.tell() + len(chunk) > max_bytes:
                raise SourceError(f"A frame has more than {max_bytes} bytes.")
            buffer.write(chunk)
        data = buffer[: buffer.tell()]
    if not data:
        raise SourceError("The camera answers without an image.")
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") and not data.startswith(JPEG_START):
        raise SourceError("The camera answers a page of text, not an image.")
    return data


def _check(answer: httpx.Response, wanted: HttpRequest) -> None:
    status = answer.status_code
    if status == HTTPStatus.OK:
        return
    if status == HTTPStatus.UNAUTHORIZED:
        if wanted.credentials:
            raise SourceError("The camera rejects user and password (401).")
        raise SourceError("The camera needs a user and a password (401).")
    if 300 <= status < 400:
        raise SourceError(f"The camera redirects ({status}). Set `source` to the new address.")
    known = {one.value: one.phrase for one in HTTPStatus}
    raise SourceError(f"The camera answers {status} {known.get(status, '')}".rstrip() + ".")


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """What to send so that an image that has not changed need not be sent again."""
    if etag := headers.get("etag"):
        return {"If-None-Match": etag}
    if changed := headers.get("last-modified"):
        return {"If-Modified-Since": changed}
    return {}


def _reason(error: Exception) -> str:
    """Why no frames arrive, without the text of the error."""
    if isinstance(error, MultipartError):
        return str(error)
    if isinstance(error, httpx.ConnectTimeout):
        return "The camera does not answer."
    if isinstance(error, httpx.TimeoutException):
        return "The camera has stopped sending."
    if isinstance(error, httpx.ConnectError | ssl.SSLError):
        return "Cannot connect to the camera."
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return "The camera broke off its answer."
    return f"The camera cannot be read ({type(error).__name__})."
