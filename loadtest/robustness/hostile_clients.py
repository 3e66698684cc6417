"""Clients that try to hold a service up: `python -m loadtest.robustness.hostile_clients NAME PORT`.

Runs until it is killed, in a process of its own so that it does not slow the clients that measure.
"""

import gzip
import http.client
import itertools
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from random import Random

from app.oip.rest_codec import JSON_LIMITS
from app.settings import Settings
from loadtest.host.server import HOST
from loadtest.robustness.structured_images.bitmaps import bmp, gif, striped_tiff
from loadtest.robustness.structured_images.chunks import chunk, png
from loadtest.robustness.structured_images.jpeg import jpeg, segment
from loadtest.robustness.structured_images.kinds import KINDS

SENDERS = 4
SLOW_CLIENTS = 17
SILENT_CLIENTS = 400
REPEATS_S = 0.5
JSON_BYTES = 16_000_000
TRICKLE_BYTES, TRICKLE_S = 100, 0.2
PREDICT, INFER = "/predict", "/v2/models/mobilenet_v2_1.0_224/infer"
OCTETS, JSON = "application/octet-stream", "application/json"
MAX_BODY_BYTES: int = Settings.model_fields["max_body_bytes"].default


def post_forever(
    port: int, path: str, content_type: str, bodies: Iterable[bytes], encoding: str = "identity"
) -> None:
    """Send one body after another on each of `SENDERS` connections."""
    shared, lock = iter(bodies), threading.Lock()
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}

    def send() -> None:
        while True:
            with lock:
                body = next(shared)
            connection = http.client.HTTPConnection(HOST, port, timeout=60)
            with suppress(OSError, http.client.HTTPException):
                connection.request("POST", path, body, headers)
                connection.getresponse().read()
            connection.close()

    in_threads(send, SENDERS)


def in_threads(function: Callable[[], None], number: int) -> None:
    threads = [threading.Thread(target=function, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def image(make: Callable[[], bytes]) -> Callable[[int], None]:
    """Send this image again and again."""
    return lambda port: post_forever(port, PREDICT, OCTETS, itertools.repeat(make()))


def random_images(port: int) -> None:
    """Send images of all kinds with their structure pushed to its limits."""
    random = Random(0)  # noqa: S311  repeatable
    kinds = itertools.cycle(KINDS.values())
    post_forever(port, PREDICT, OCTETS, (kind(random) for kind in kinds))


def gzip_bombs(port: int) -> None:
    """Send small bodies that expand to the limit of a body."""
    bomb = gzip.compress(bytes(MAX_BODY_BYTES))
    post_forever(port, PREDICT, OCTETS, itertools.repeat(bomb), "gzip")


def json_lists(item: bytes, values: int | None = None) -> Callable[[int], None]:
    """Send tensors as JSON of these items, which are 16 MB if their number is not given."""

    def run(port: int) -> None:
        items = b",".join([item] * (values or JSON_BYTES // (len(item) + 1)))
        head = b'{"inputs":[{"name":"image","shape":[1,224,224,3],"datatype":"UINT8","data":['
        post_forever(port, INFER, JSON, itertools.repeat(head + items + b"]}]}"))

    return run


def json_depth(path: str) -> Callable[[int], None]:
    return lambda port: post_forever(port, path, JSON, itertools.repeat(b"[" * 60_000))


def connect(port: int, request: bytes = b"") -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect((HOST, port))
    client.sendall(request)
    return client


def hold(request: bytes, number: int) -> Callable[[int], None]:
    """Keep `number` connections open that have sent this; open new ones for those that end."""

    def run(port: int) -> None:
        clients: list[socket.socket] = []
        while True:
            clients = [client for client in clients if not has_ended(client)]
            while len(clients) < number:
                try:
                    clients.append(connect(port, request))
                except OSError:
                    break
            time.sleep(REPEATS_S)

    return run


def has_ended(client: socket.socket) -> bool:
    """Whether the server has closed the connection and left nothing to read."""
    try:
        ended = not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        ended = True
    if ended:
        client.close()
    return ended


def slow_bodies(port: int) -> None:
    """Announce the largest body and send it a few bytes at a time."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"

    def send() -> None:
        while True:
            with suppress(OSError), connect(port, head.encode()) as client:
                while True:
                    client.sendall(bytes(TRICKLE_BYTES))
                    time.sleep(TRICKLE_S)

    in_threads(send, SLOW_CLIENTS)


def long_paths(port: int) -> None:
    """Ask for paths of 60 kB, all of which are logged."""
    request = b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"

    def send() -> None:
        while True:
            with suppress(OSError), connect(port) as client:
                while True:
                    client.sendall(request)
                    if not client.recv(2**16):
                        break

    in_threads(send, 1)


def silent_grpc_calls(port: int) -> None:
    """Start calls and never send their message."""
    import grpc

    def call() -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"{HOST}:{port}", options) as channel:
            infer = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer", bytes, bytes)
            while True:
                with suppress(grpc.RpcError):
                    infer(silence(), timeout=60)

    def silence() -> Iterator[bytes]:
        threading.Event().wait(60)
        yield b""

    in_threads(call, SLOW_CLIENTS)


READ_NOTHING = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 32
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nX: "
HALF_A_BODY = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx"
WHOLE_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ATTACKS: dict[str, Callable[[int], None]] = {
    "JPEG of 5,000 scans": image(lambda: jpeg(3000, 2000, scans=[(1, 2, 3)] * 5000)),
    "JPEG of 400,000 segments": image(
        lambda: jpeg(64, 64, header=segment(0xE1, b"A" * 16) * 400_000)
    ),
    "TIFF of 900,000 strips": image(lambda: striped_tiff(8, 900_000, bytes(8))),
    "GIF comment in blocks of 1 byte": image(
        lambda: gif(64, 64, before=b"!\xfe" + b"\x01a" * 4_000_000 + b"\0")
    ),
    "BMP of runs": image(lambda: bmp(6000, 4000, b"\x01\x02" * 4_000_000)),
    "PNG of a million chunks": image(lambda: png(64, 64, before=chunk(b"teXt") * 1_000_000)),
    "images of every kind": random_images,
    "JSON of lists": json_lists(b"[1]"),
    "JSON of numbers": json_lists(b"1"),
    "JSON within its limits": json_lists(b"1.2e-30", JSON_LIMITS.commas - 100),
    "gzip bombs": gzip_bombs,
    "deep JSON to /v2/repository": json_depth("/v2/repository/index"),
    "deep JSON to /predict": json_depth(PREDICT),
    "clients that never read": hold(READ_NOTHING, SILENT_CLIENTS // 8),
    "idle connections": hold(WHOLE_REQUEST, SILENT_CLIENTS),
    "unfinished heads": hold(HALF_A_HEAD, SILENT_CLIENTS),
    "unfinished bodies": hold(HALF_A_BODY, SILENT_CLIENTS),
    "slow bodies of 16 MB": slow_bodies,
    "paths of 60 kB": long_paths,
}
GRPC_ATTACKS: dict[str, Callable[[int], None]] = {"silent gRPC calls": silent_grpc_calls}


def main(name: str, port: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    (ATTACKS | GRPC_ATTACKS)[name](port)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
