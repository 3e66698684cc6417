"""Four MJPEG cameras beside requests: from a change to its event, and what requests notice.

The change is when a camera starts to send another photo, so up to one frame interval passes until
it is in a frame. Runs with and without cameras alternate; the cameras change all the time, so that
the gate saves nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated

import httpx
import typer

from loadtest.cameras.camera_server import CameraServer
from loadtest.cameras.photos import by_label, two_photos
from loadtest.host.gateway import start_gateway
from loadtest.host.model_store import LARGEST, STORE
from loadtest.host.server import Server
from loadtest.load.body import PATH, BodyFile
from loadtest.load.open_loop import run_open_loop
from loadtest.load.tally import OpenLoop
from loadtest.load.wrk import run_wrk

CAMERAS, FRAMES_PER_S, ALLOWED_MS = 4, 5, 150
LOST_S = 10.0  # a change without event for so long counts as missed
TABLE = """
[cameras.cam{number}]
source = "{source}"
frames_per_s = {rate}
in_a_row = 1
cool_down_s = 0
start_probability = 0.02
end_probability = 0.01
"""


@dataclass
class Scene:
    """The cameras, and when each last changed."""

    photos: dict[str, bytes]
    cameras: list[CameraServer]
    delays_ms: list[float] = field(default_factory=list)
    missed: int = 0
    _due: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def change(self, pause_s: float) -> None:
        """Let each camera show the other photo again and again, until cancelled."""
        random, labels = Random(19), list(self.photos)  # noqa: S311  a schedule

        async def one(number: int, camera: CameraServer) -> None:
            for count in range(10**9):
                await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))
                if f"cam{number}" in self._due:
                    if monotonic() - self._due[f"cam{number}"][1] < LOST_S:
                        continue
                    self.missed += 1
                label = labels[count % 2]
                shown = self.photos[label]
                camera.image = lambda shown=shown: shown  # type: ignore[misc]
                self._due[f"cam{number}"] = label, monotonic()

        await asyncio.gather(*(one(*camera) for camera in enumerate(self.cameras)))

    async def listen(self, server: Server) -> None:
        """Take the time of each start event, until cancelled."""
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream("GET", server.url("/events")) as answer,
        ):
            async for line in answer.aiter_lines():
                if not line.startswith("data:") or '"start"' not in line:
                    continue
                event = json.loads(line.removeprefix("data:"))
                label, began = self._due.get(event["camera"], ("", 0.0))
                if event["label"] == label:
                    self.delays_ms.append((monotonic() - began) * 1000)
                    del self._due[event["camera"]]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[tuple[Server, Scene]]:
    """A service with four cameras."""
    cameras = [CameraServer(frames_per_s=FRAMES_PER_S) for _ in range(CAMERAS)]
    for camera in cameras:
        await camera.start()
    config = folder / "cameras.toml"
    config.write_text(
        "".join(
            TABLE.format(number=number, source=camera.url(), rate=FRAMES_PER_S)
            for number, camera in enumerate(cameras)
        ),
        "utf-8",
    )
    with await asyncio.to_thread(start, folder, str(config)) as server:
        photos = await asyncio.to_thread(by_label, server, two_photos())
        yield server, Scene(photos, cameras)
    for camera in cameras:
        await camera.stop()


def start(folder: Path, config: str) -> Server:
    options = ("--config", config) if config else ()
    return start_gateway(STORE, LARGEST, folder / f"log-{bool(config)}.txt", *options)


async def measure(folder: Path, rounds: int, seconds: float) -> bool:
    """Print the table; whether all is as it must be."""
    body = BodyFile("raw", folder / "photo.jpg", "image/jpeg")
    body.path.write_bytes(two_photos()[0])
    with await asyncio.to_thread(start, folder, "") as bare:
        capacity = await asyncio.to_thread(
            lambda: run_wrk(bare.url(PATH), body, 8, max(2, int(seconds / 2))).requests_per_s
        )
        print(f"capacity {capacity:.0f} requests/s without cameras", flush=True)
        async with scene(folder) as (server, seen):
            work = [
                asyncio.create_task(seen.change(1.0)),
                asyncio.create_task(seen.listen(server)),
            ]
            while len(seen.delays_ms) < CAMERAS:  # the first request loads the routes
                await asyncio.sleep(0.1)
            seen.delays_ms.clear()
            await asyncio.sleep(seconds)
            idle_delays, seen.delays_ms = seen.delays_ms, []
            print_delays("from a change to its event, without requests", idle_delays)
            half: dict[str, list[OpenLoop]] = {"bare": [], "cameras": []}
            over: dict[str, list[OpenLoop]] = {"bare": [], "cameras": []}
            for _ in range(rounds):
                for name, one in (("bare", bare), ("cameras", server)):
                    half[name].append(await load(one, body, capacity / 2, seconds))
            print_delays("at half load", seen.delays_ms)
            for _ in range(max(1, rounds // 2)):
                for name, one in (("bare", bare), ("cameras", server)):
                    over[name].append(await load(one, body, 3 * capacity, seconds / 2))
            for task in work:
                task.cancel()
    for name in half:
        p99 = [one.p99_ms for one in half[name]]
        goodput = median(one.answered_per_s for one in over[name])
        print(
            f"{name}: p99 at half load {median(p99):.1f} ms ({', '.join(f'{x:.1f}' for x in p99)}),"
            f" p50 {median(one.p50_ms for one in half[name]):.1f} ms;"
            f" goodput at 3x load {goodput:.0f}/s"
        )
    limit_ms = 1000 / FRAMES_PER_S + ALLOWED_MS
    return bool(idle_delays) and quantiles(idle_delays, n=20)[-1] <= limit_ms and not seen.missed


async def load(server: Server, body: BodyFile, rate: float, seconds: float) -> OpenLoop:
    return await asyncio.to_thread(run_open_loop, server.port, PATH, body, rate, seconds)


def print_delays(what: str, delays_ms: list[float]) -> None:
    if len(delays_ms) < 2:
        print(f"{what}: only {len(delays_ms)} events")
        return
    print(
        f"{what}: {len(delays_ms)} events, p50 {median(delays_ms):.0f} ms, "
        f"p95 {quantiles(delays_ms, n=20)[-1]:.0f} ms, longest {max(delays_ms):.0f} ms",
        flush=True,
    )


def main(
    rounds: Annotated[int, typer.Option(help="Pairs of runs with and without cameras.")] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds of each run.")] = 20,
) -> None:
    """Measure; exit status 1 if events take longer than one frame interval and 150 ms."""
    with TemporaryDirectory() as folder:
        held = asyncio.run(measure(Path(folder), rounds, seconds))
    raise typer.Exit(not held)


if __name__ == "__main__":
    typer.run(main)
