"""The peak of Python's memory during one request, for each form of body.

`python -m loadtest.bench.request_memory MODEL_FILE PHOTO` runs the service in this process under
`tracemalloc`, sends one request at a time and prints JSON. It counts the allocations of Python and
NumPy, not those inside Pillow and onnxruntime.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

from loadtest.bench.result import RequestMemory
from loadtest.host.server import HOST, free_port
from loadtest.load.body import FORMS, PATH
from loadtest.load.http1 import parse_response, request_head

WARM_UP = 3
SAMPLES = 5
START_S = 30


def measure_request_memory(model: Path, photo: Path) -> list[RequestMemory]:
    command = [sys.executable, "-m", "loadtest.bench.request_memory", str(model), str(photo)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    return [RequestMemory(**row) for row in json.loads(done.stdout)]


def peak_bytes(port: int, request: bytes) -> int:
    """Return the smallest of `SAMPLES` peaks of the traced memory, each above its start."""
    with socket.create_connection((HOST, port)) as connection:
        for _ in range(WARM_UP):
            _exchange(connection, request)
        peaks = []
        for _ in range(SAMPLES):
            time.sleep(0.05)  # until the memory of the previous request is freed
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            _exchange(connection, request)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    return min(peaks)


def _exchange(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    received = b""
    while (response := parse_response(received)) is None:
        received += connection.recv(65536)
    if response[0] != 200:
        raise RuntimeError(f"status {response[0]}: {received[-300:]!r}")


def main(model: Path, photo: Path) -> None:
    """Serve on the main thread, which receives the signals, and send requests from another."""
    from app.http.server import serve
    from app.service.gateway import open_gateway
    from app.settings import Settings

    settings = Settings(
        store=model.parent, models=(model.stem,), default_model=model.stem, port=free_port()
    )
    gateway = open_gateway(settings)
    pixel_bytes = 3 * gateway.store.get().card.resolution ** 2
    requests = threading.Thread(
        target=_measure, args=(settings.port, photo.read_bytes(), pixel_bytes)
    )
    requests.start()
    serve(settings, gateway)
    requests.join()


def _measure(port: int, image: bytes, pixel_bytes: int) -> None:
    """Measure every form once the service listens, print the records, and stop the service."""
    rows = []
    try:
        _wait_for(port)
        tracemalloc.start()
        for form, make in FORMS.items():
            body = make(image)
            size = len(body.data)
            request = request_head(HOST, port, PATH, body.content_type, size) + body.data
            rows.append(RequestMemory(form, size, pixel_bytes, peak_bytes(port, request)))
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def _wait_for(port: int) -> None:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.05)
    raise TimeoutError("the service did not start")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
