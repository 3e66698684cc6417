"""Requests by hand: what no well-behaved HTTP client sends."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPMessage, HTTPResponse
from select import select
from typing import NamedTuple

from tests.processes import LIVELINESS_S, Service


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes


@contextmanager
def connection(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), LIVELINESS_S) as opened:
        yield opened


def head(path: str = "/predict", method: str = "POST", **headers: object) -> bytes:
    """A request line and headers, underscores in their names as dashes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", "Content-Type: image/jpeg"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def upload(image: bytes) -> bytes:
    """A whole request to classify an image."""
    return head(Content_Length=len(image)) + image


def reply(opened: socket.socket) -> Reply:
    """The answer on a connection."""
    response = HTTPResponse(opened)
    response.begin()
    return Reply(response.status, response.headers, response.read())


def send_until_answered(opened: socket.socket, piece: bytes, limit_bytes: int) -> int:
    """Send a piece again and again until something comes back or `limit_bytes` are sent."""
    sent_bytes = 0
    with suppress(ConnectionError):
        while sent_bytes < limit_bytes and not select([opened], [], [], 0)[0]:
            opened.sendall(piece)
            sent_bytes += len(piece)
    return sent_bytes


def closed_by_server(opened: socket.socket) -> bool:
    """Wait until the server closes the connection; whether it did so without another word."""
    try:
        return opened.recv(1) == b""
    except ConnectionError:
        return True
