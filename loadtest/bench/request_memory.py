"""How much memory Python holds at most for one request, by the form of its body.

`python -m loadtest.bench.request_memory MODEL_FILE PHOTO` runs the service in this process under
`tracemalloc`, sends one request at a time and prints JSON. It counts allocations of Python and
NumPy, not Pillow's or onnxruntime's own.
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
from dataclasses import dataclass
from pathlib import Path

from loadtest.host.server import HOST, free_port
from loadtest.load.body import FORMS
from loadtest.load.open_loop import head, parse_answer

WARM_UP = 3
SAMPLES = 5
START_S = 30


@dataclass(frozen=True, slots=True)
class Held:
    """Most bytes that Python held at once for one request, beyond what it held before.

    `pixel_bytes` is the array that the model sees, which is part of the peak.
    """

    form: str
    body_bytes: int
    pixel_bytes: int
    peak_bytes: int

    @property
    def bodies(self) -> float:
        """The rest of the peak as a multiple of the body."""
        return (self.peak_bytes - self.pixel_bytes) / self.body_bytes


def measure_held(model: Path, photo: Path) -> list[Held]:
    """Measure all forms in a process of its own."""
    command = [sys.executable, "-m", "loadtest.bench.request_memory", str(model), str(photo)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    return [Held(**row) for row in json.loads(done.stdout)]


def trace_request(port: int, request: bytes) -> int:
    """Peak of the traced memory above its start, in bytes; the fewest of some tries."""
    with socket.create_connection((HOST, port)) as connection:
        for _ in range(WARM_UP):
            _exchange(connection, request)
        peaks = []
        for _ in range(SAMPLES):
            time.sleep(0.05)  # let what the request before it used go
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            _exchange(connection, request)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    return min(peaks)


def _exchange(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    received = b""
    while (answer := parse_answer(received)) is None:
        received += connection.recv(65536)
    if answer[0] != 200:
        raise RuntimeError(f"status {answer[0]}: {received[-300:]!r}")


def main(model: Path, photo: Path) -> None:
    """Serve on the main thread, which the signals need, and ask from another."""
    from app.http.server import serve
    from app.service.gateway import open_gateway
    from app.settings import Settings

    settings = Settings(
        store=model.parent, models=(model.stem,), default_model=model.stem, port=free_port()
    )
    gateway = open_gateway(settings)
    pixel_bytes = 3 * gateway.store.get().card.resolution ** 2
    ask = threading.Thread(target=_ask, args=(settings.port, photo.read_bytes(), pixel_bytes))
    ask.start()
    serve(settings, gateway)
    ask.join()


def _ask(port: int, image: bytes, pixel_bytes: int) -> None:
    """Measure every form once the service listens, print, and stop the service."""
    rows = []
    try:
        _wait_for(port)
        tracemalloc.start()
        for form, make in FORMS.items():
            body = make(image)
            size = len(body.data)
            request = head(HOST, port, "/predict", body.content_type, size) + body.data
            rows.append(Held(form, size, pixel_bytes, trace_request(port, request)))
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
