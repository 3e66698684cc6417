"""Four MJPEG cameras beside requests: from a change to its event, and what requests notice.

The change is when a camera starts to send another photo, so up to one frame interval passes until
it is in a frame. Runs with and without cameras alternate; the cameras change all the time, so that
the gate saves nothing. `--in-a-row 1` lets one frame decide; each further one takes a frame
interval more.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated, Any

import httpx
import typer

from loadtest.cameras.broker import broker, has_broker
from loadtest.cameras.camera_server import CameraServer
from loadtest.cameras.photos import by_label, two_photos
from loadtest.host.gateway import start_default
from loadtest.host.model_store import STORE
from loadtest.host.server import HOST, Server
from loadtest.load.body import PATH, BodyFile
from loadtest.load.open_loop import run_open_loop
from loadtest.load.tally import OpenLoop
from loadtest.load.wrk import run_wrk

CAMERAS, FRAMES_PER_S, ALLOWED_MS = 4, 5, 150
LOST_S = 10.0  # a change without event for so long counts as missed
CORES = 2  # of the target
GOODPUT_SHARE = 0.97  # of that without cameras: what runs differ by
SSE, MQTT = "/events", "MQTT"
TABLE = """
[cameras.cam{number}]
source = "{source}"
frames_per_s = {rate}
in_a_row = {in_a_row}
cool_down_s = 0
start_probability = 0.02
end_probability = 0.01
"""
BROKER = """
[mqtt]
url = "mqtt://{host}:{port}"
"""


@dataclass
class Change:
    """What a camera shows since when, and who has not heard of it yet."""

    label: str
    began: float
    waiting: set[str]


@dataclass
class Scene:
    """The cameras, and when each last changed."""

    photos: dict[str, bytes]
    cameras: list[CameraServer]
    listeners: tuple[str, ...]
    missed: int = 0
    delays_ms: dict[str, list[float]] = field(default_factory=dict)
    _changes: dict[str, Change] = field(default_factory=dict)

    def forget(self) -> None:
        self.delays_ms = {name: [] for name in self.listeners}

    async def change(self, pause_s: float) -> None:
        """Let each camera show the other photo again and again, until cancelled."""
        random = Random(19)  # noqa: S311  a schedule

        async def one(number: int, camera: CameraServer) -> None:
            for label in itertools.cycle(self.photos):
                await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))
                camera.show(self.photos[label])
                change = Change(label, monotonic(), set(self.listeners))
                self._changes[f"cam{number}"] = change
                while change.waiting and monotonic() - change.began < LOST_S:
                    await asyncio.sleep(0.02)
                self.missed += bool(change.waiting)

        await asyncio.gather(*(one(*camera) for camera in enumerate(self.cameras)))

    async def listen(self, server: Server) -> None:
        """Take the time of each start event, until cancelled."""
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream("GET", server.url(SSE)) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:") and '"state": "start"' in line:
                    self._told(SSE, json.loads(line.removeprefix("data:")))

    async def subscribe(self, port: int) -> None:
        """Take the time of each message of the broker, until cancelled."""
        from aiomqtt import Client

        async with Client(HOST, port) as client:
            await client.subscribe("mobilenet-gateway/+/event", qos=1)
            async for message in client.messages:
                event = json.loads(bytes(message.payload))
                if event["event_type"] == "start":
                    self._told(MQTT, event)

    def _told(self, listener: str, event: dict[str, Any]) -> None:
        change = self._changes.get(event["camera"])
        if change and change.label == event["label"] and listener in change.waiting:
            self.delays_ms[listener].append((monotonic() - change.began) * 1000)
            change.waiting.discard(listener)


@contextmanager
def broker_if_installed(folder: Path) -> Iterator[int | None]:
    """Its port."""
    if not has_broker():
        print("without MQTT: needs `apt-get install mosquitto` and the extra mqtt")
        yield None
        return
    with broker(folder) as port:
        yield port


@asynccontextmanager
async def scene(
    folder: Path, in_a_row: int, broker_port: int | None
) -> AsyncIterator[tuple[Server, Scene]]:
    """A service with four cameras."""
    cameras = [CameraServer(frames_per_s=FRAMES_PER_S) for _ in range(CAMERAS)]
    for camera in cameras:
        await camera.start()
    config = folder / "cameras.toml"
    tables = [
        TABLE.format(number=number, source=camera.url(), rate=FRAMES_PER_S, in_a_row=in_a_row)
        for number, camera in enumerate(cameras)
    ]
    if broker_port:
        tables.append(BROKER.format(host=HOST, port=broker_port))
    config.write_text("".join(tables), "utf-8")
    log = folder / "log-cameras.txt"
    with await asyncio.to_thread(start_default, STORE, log, "--config", str(config)) as server:
        await asyncio.to_thread(server.request, "GET", "/cameras")  # loads the routes
        photos = await asyncio.to_thread(by_label, server, two_photos())
        watched = Scene(photos, cameras, (SSE, MQTT) if broker_port else (SSE,))
        watched.forget()
        work = [asyncio.create_task(watched.listen(server))]
        if broker_port:
            work.append(asyncio.create_task(watched.subscribe(broker_port)))
        work.append(asyncio.create_task(watched.change(1.0)))
        try:
            yield server, watched
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
    for camera in cameras:
        await camera.stop()


async def measure(folder: Path, rounds: int, seconds: float, in_a_row: int) -> bool:
    """Print what was found; whether all is as it must be."""
    body = BodyFile("raw", folder / "photo.jpg", "image/jpeg")
    body.path.write_bytes(two_photos()[0])
    with (
        await asyncio.to_thread(start_default, STORE, folder / "log-bare.txt") as bare,
        broker_if_installed(folder) as port,
    ):
        capacity = await asyncio.to_thread(
            lambda: run_wrk(bare.url(PATH), body, 8, max(2, int(seconds / 2))).requests_per_s
        )
        print(f"capacity {capacity:.0f} requests/s without cameras", flush=True)
        async with scene(folder, in_a_row, port) as (server, seen):
            while min(map(len, seen.delays_ms.values())) < CAMERAS:
                await asyncio.sleep(0.1)
            seen.forget()
            await asyncio.sleep(seconds)
            limit_ms = in_a_row * 1000 / FRAMES_PER_S + ALLOWED_MS
            held = print_delays("without requests", seen, limit_ms)
            seen.forget()
            half: dict[str, list[OpenLoop]] = {"without": [], "with": []}
            over: dict[str, list[OpenLoop]] = {"without": [], "with": []}
            for _ in range(rounds):
                for name, one in (("without", bare), ("with", server)):
                    half[name].append(await load(one, body, capacity / 2, seconds))
            print_delays("at half load", seen, limit_ms)
            for _ in range(rounds):
                for name, one in (("without", bare), ("with", server)):
                    over[name].append(await load(one, body, 3 * capacity, seconds / 2))
    held &= print_requests(half, over, CORES / capacity * 1000)
    return held


async def load(server: Server, body: BodyFile, rate: float, seconds: float) -> OpenLoop:
    return await asyncio.to_thread(run_open_loop, server.port, PATH, body, rate, seconds)


def print_delays(what: str, seen: Scene, limit_ms: float) -> bool:
    """Whether all listeners heard of the changes in time."""
    held = not seen.missed
    for listener, delays_ms in seen.delays_ms.items():
        if len(delays_ms) < 2:
            print(f"from a change to {listener}, {what}: only {len(delays_ms)} events")
            held = False
            continue
        p95 = quantiles(delays_ms, n=20)[-1]
        held &= p95 <= limit_ms
        print(
            f"from a change to {listener}, {what}: {len(delays_ms)} events, "
            f"p50 {median(delays_ms):.0f} ms, p95 {p95:.0f} ms (limit {limit_ms:.0f}), "
            f"longest {max(delays_ms):.0f} ms, missed {seen.missed}",
            flush=True,
        )
    return held


def print_requests(
    half: dict[str, list[OpenLoop]], over: dict[str, list[OpenLoop]], frame_ms: float
) -> bool:
    """Whether requests notice no more of cameras than they may."""
    p99, goodput = dict[str, float](), dict[str, float]()
    for name in half:
        runs = [one.p99_ms for one in half[name]]
        answered = [one.answered_per_s for one in over[name]]
        p99[name], goodput[name] = median(runs), median(answered)
        print(
            f"{name} cameras: p99 at half load {p99[name]:.1f} ms "
            f"({', '.join(f'{one:.1f}' for one in runs)}), "
            f"p50 {median(one.p50_ms for one in half[name]):.1f} ms; "
            f"goodput at 3x load {goodput[name]:.0f}/s "
            f"({', '.join(f'{one:.0f}' for one in answered)})"
        )
    more_ms, share = p99["with"] - p99["without"], goodput["with"] / goodput["without"]
    print(f"p99 with cameras: {more_ms:+.1f} ms (limit {frame_ms:.1f}, the time of a frame)")
    print(f"goodput with cameras: {share:.3f} of that without (at least {GOODPUT_SHARE})")
    return more_ms <= frame_ms and share >= GOODPUT_SHARE


def main(
    rounds: Annotated[int, typer.Option(help="Pairs of runs with and without cameras.")] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds of each run.")] = 20,
    in_a_row: Annotated[int, typer.Option(help="Frames that decide.")] = 1,
) -> None:
    """Measure; exit status 1 if a limit is exceeded."""
    with TemporaryDirectory() as folder:
        held = asyncio.run(measure(Path(folder), rounds, seconds, in_a_row))
    raise typer.Exit(not held)


if __name__ == "__main__":
    typer.run(main)
