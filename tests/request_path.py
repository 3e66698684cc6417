"""The files of app/ that one raw JPEG to POST /predict passes through, by the functions that run.

`python -m tests.request_path [--json] [STORE]` starts the service on a free port, sends the same
request twice and traces the second, from the connection to its log line and metrics. `make
request-path` does that with the project's own store.
"""

import argparse
import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from app.http import application
from app.settings import Settings
from app.telemetry.request_log import DELAY_S
from tests.app.sample_images import encode, noise
from tests.serving import served

ROOT = Path(__file__).resolve().parents[1]
APP = str(ROOT / "app")


class Tracer:
    """Collects the functions of app/ that are called in any thread started after `install`."""

    def __init__(self) -> None:
        self.functions: defaultdict[str, set[str]] = defaultdict(set)
        self.active = False

    def install(self) -> None:
        threading.setprofile(self._on_event)

    def lines(self) -> dict[str, int]:
        """Lines of each file that was passed through, in order of their names."""
        return {
            name: len((ROOT / name).read_text("utf-8").splitlines())
            for name in sorted(self.functions)
        }

    def _on_event(self, frame: FrameType, event: str, _: Any) -> None:
        if self.active and event == "call" and frame.f_code.co_filename.startswith(APP):
            name = Path(frame.f_code.co_filename).relative_to(ROOT).as_posix()
            self.functions[name].add(frame.f_code.co_qualname)


def trace(store: Path) -> Tracer:
    """Trace one request to a service over this store, which never looks whether it is idle."""
    application.CHECK_S = 3600.0  # else such a look falls into the trace on a slow machine
    tracer = Tracer()
    tracer.install()
    image = encode(noise(640, 480))
    with served(Settings(store=store, measure_s=0)) as client:
        headers = {"Content-Type": "image/jpeg"}
        client.get("/healthz").raise_for_status()  # loads the routes, which idleness does else
        _predict(client, image, headers)
        time.sleep(2 * DELAY_S)  # the log of the first request is written
        tracer.active = True
        _predict(client, image, headers)
        time.sleep(2 * DELAY_S)
        tracer.active = False
    threading.setprofile(None)
    return tracer


def _predict(client: httpx.Client, image: bytes, headers: dict[str, str]) -> None:
    client.post("/predict", content=image, headers=headers).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description="Trace one POST /predict through app/.")
    parser.add_argument("store", nargs="?", type=Path, default=ROOT / "models" / "store")
    parser.add_argument("--json", action="store_true", help="print lines by file as JSON")
    parser.add_argument("--functions", action="store_true", help="print the functions, too")
    options = parser.parse_args()
    tracer = trace(options.store)
    lines = tracer.lines()
    if options.json:
        json.dump(lines, sys.stdout, indent=2)
        return
    for name, count in lines.items():
        functions = " ".join(sorted(tracer.functions[name])) if options.functions else ""
        print(f"{count:5} {name} {functions}".rstrip())
    print(f"{sum(lines.values()):5} lines in {len(lines)} files")


if __name__ == "__main__":
    main()
