"""HTTP/2 by hand, since no client of gRPC leaves a message unfinished."""

import select
import socket
import struct

from app.paths import OIP_SERVICE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
ACK, END_HEADERS, INITIAL_WINDOW_SIZE = 1, 4, 4
QUIET_S = 1.0  # after which a server has said how much it takes


def send_all_but_the_end(
    connection: socket.socket, call: str, *, streams: int, size_bytes: int
) -> None:
    """Begin a call on each stream, and send as much of its message as the server lets through."""
    numbers = range(1, 2 * streams, 2)
    left = {number: struct.pack(">BI", 0, size_bytes) + bytes(size_bytes - 1) for number in numbers}
    windows = dict.fromkeys((-1, 0, *numbers), 65_535)  # of new streams, of all, of each
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
    for number in numbers:
        connection.sendall(frame(HEADERS, END_HEADERS, number, _head(call)))
    received = b""
    while select.select([connection], [], [], QUIET_S)[0]:
        received += connection.recv(65_536)
        received = _heed(connection, received, left, windows)
        for number, rest in left.items():
            sent = 0
            while part := rest[sent : sent + min(16_384, windows[0], windows[number])]:
                connection.sendall(frame(DATA, 0, number, part))
                sent += len(part)
                windows[0] -= len(part)
                windows[number] -= len(part)
            left[number] = rest[sent:]


def _heed(
    connection: socket.socket, received: bytes, left: dict[int, bytes], windows: dict[int, int]
) -> bytes:
    """Do what the server's frames ask for; returns the beginning of one that is not there yet."""
    while len(received) >= 9:
        size = int.from_bytes(received[:3])
        kind, flags, number = struct.unpack(">BBI", received[3:9])
        if len(received) < 9 + size:
            break
        payload, received = received[9 : 9 + size], received[9 + size :]
        if kind == WINDOW_UPDATE:
            windows[number] += int.from_bytes(payload)
        elif kind == RST_STREAM:
            left[number] = b""
        elif kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            _widen(windows, payload if kind == SETTINGS else b"")
    return received


def _widen(windows: dict[int, int], settings: bytes) -> None:
    """Take over the window that all streams begin with, if it is another one now."""
    for name, value in struct.iter_unpack(">HI", settings):
        if name == INITIAL_WINDOW_SIZE:
            for number in windows.keys() - {0, -1}:
                windows[number] += value - windows[-1]
            windows[-1] = value


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, number) + payload


def _head(call: str) -> bytes:
    """The headers of a call, none of them compressed (RFC 7541, 6.2.2)."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/{OIP_SERVICE}/{call}",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    texts = [text.encode() for field in fields.items() for text in field]
    packed = [bytes([len(text)]) + text for text in texts]
    return b"".join(b"\0" + name + value for name, value in zip(*[iter(packed)] * 2, strict=True))
