"""`make check-cameras`: cameras that misbehave for minutes, and what the service makes of them.

Each camera shows one of two photos. It fails in one way after another; when it is back it shows
the other photo, and the time is taken until the service says its label. Memory is sampled, and the
log must hold no exception.
"""

import asyncio
import itertools
import json
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated, Any

import httpx
import typer

from loadtest.cameras.camera_server import CameraServer
from loadtest.cameras.photos import by_label, two_photos
from loadtest.host.gateway import start_gateway
from loadtest.host.model_store import STORE
from loadtest.host.server import Server, free_port

MODEL = "mobilenet_v2_1.0_224"
RETURN_S, GROWTH_BYTES = 5.0, 5_000_000
DEBIAN_PYTHON = Path("/usr/bin/python3")
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
TABLE = """
[cameras.{name}]
source = "{source}"
stalled_s = 2
frames_per_s = 5
in_a_row = 1
cool_down_s = 0
start_probability = 0.02
end_probability = 0.01
"""
Fault = Callable[[CameraServer], None]
FAULTS: dict[str, Fault] = {
    "stalls": lambda camera: setattr(camera, "mode", "stall"),
    "cuts mid-frame": lambda camera: setattr(camera, "mode", "cut"),
    "floods": lambda camera: setattr(camera, "mode", "flood"),
    "answers 401": lambda camera: setattr(camera, "status", 401),
    "answers 404": lambda camera: setattr(camera, "status", 404),
    "answers 500": lambda camera: setattr(camera, "status", 500),
    "sends a page": lambda camera: setattr(camera, "mode", "page"),
    "sends a frame without end": lambda camera: setattr(camera, "mode", "endless"),
}


@dataclass
class Findings:
    """What was seen."""

    returns_s: dict[str, list[float]] = field(default_factory=dict)
    own_bytes: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def growth_bytes(self) -> float:
        """From the first fifth after the warm-up to the last fifth, by medians."""
        fifth = max(1, len(self.own_bytes) // 5)
        return median(self.own_bytes[-fifth:]) - median(self.own_bytes[:fifth])


class Run:
    """One service and its cameras."""

    def __init__(
        self, server: Server, photos: dict[str, bytes], warm_up_s: float, seconds: float
    ) -> None:
        self._server, self._photos, self._warm_up_s = server, photos, warm_up_s
        self._shown = itertools.cycle(photos)
        self._ends = monotonic() + warm_up_s + seconds
        self.findings = Findings()
        self._client = httpx.AsyncClient(base_url=server.url(""), trust_env=False, timeout=30)

    async def status(self, name: str) -> dict[str, Any]:
        cameras = (await self._client.get("/cameras")).json()["cameras"]
        return next(one for one in cameras if one["name"] == name)

    async def returns(self, what: str, name: str, label: str) -> None:
        """Take the time until the service shows that a camera is back, with what it shows."""
        began, found = monotonic(), dict[str, Any]()
        while monotonic() - began < 30:
            found = await self.status(name)
            if found["connected"] and not found["error"] and found["label"] == label:
                break
            await asyncio.sleep(0.05)
        else:
            self.findings.problems.append(f"{what}: not back within 30 s: {json.dumps(found)}")
        self.findings.returns_s.setdefault(what, []).append(monotonic() - began)

    async def disturb(self, name: str, camera: CameraServer, bad_s: float) -> None:
        """Let an HTTP camera fail in all ways, again and again."""
        good = camera.mode
        while monotonic() < self._ends:
            for what in [*FAULTS, "changes resolution", "disappears"]:
                label = next(self._shown)
                if what == "disappears":
                    await camera.stop()
                elif what in FAULTS:
                    FAULTS[what](camera)
                await asyncio.sleep(bad_s)
                camera.show(self._photos[label])
                camera.mode, camera.status = good, 200
                if what == "disappears":
                    await camera.start()
                await self.returns(f"{name}: {what}", name, label)
                if monotonic() > self._ends:
                    break

    async def drop_files(self, name: str, folder: Path) -> None:
        """Write into a folder, rubbish as well."""
        for count in itertools.count():
            if monotonic() > self._ends:
                return
            label = next(self._shown)
            for file in folder.iterdir():
                file.unlink()
            (folder / f"{count:08}-rubbish.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 5000)
            await asyncio.sleep(0.5)
            with (folder / f"{count:08}.jpg").open("wb") as file_:
                photo = self._photos[label]
                file_.write(photo[:1000])
                file_.flush()
                await asyncio.sleep(0.05)
                file_.write(photo[1000:])
            await self.returns(f"{name}: broken files", name, label)
            await asyncio.sleep(1)

    async def disturb_rtsp(self, name: str, port: int, bad_s: float) -> None:
        """Kill and restart an RTSP server."""
        while monotonic() < self._ends:
            with rtsp_server(port):
                began = monotonic()
                seen = (await self.status(name))["frames_seen"]
                while monotonic() - began < 30:
                    found = await self.status(name)
                    if found["connected"] and found["frames_seen"] > seen:
                        break
                    await asyncio.sleep(0.05)
                else:
                    self.findings.problems.append(f"{name}: not back: {json.dumps(found)}")
                self.findings.returns_s.setdefault(f"{name}: disappears", []).append(
                    monotonic() - began
                )
                await asyncio.sleep(3 * bad_s)
            await asyncio.sleep(bad_s)

    async def watch_memory(self) -> None:
        await asyncio.sleep(self._warm_up_s)
        while monotonic() < self._ends:
            self.findings.own_bytes.append(own_bytes(self._server))
            await asyncio.sleep(1)

    async def all(self, *work: Awaitable[None]) -> None:
        await asyncio.gather(self.watch_memory(), *work)
        await self._client.aclose()


def own_bytes(server: Server) -> int:
    """Memory without files, whose share depends on who else maps the same libraries."""
    found = 0
    for pid in server.pids():
        with suppress(OSError):  # the helper process has ended
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
            found += sum(map(int, re.findall(r"(?m)^Pss_(?:Anon|Shmem): +(\d+) kB", rollup))) * 1024
    return found


@contextmanager
def rtsp_server(port: int) -> Iterator[None]:
    """GStreamer's server as a process."""
    command = [str(DEBIAN_PYTHON), str(RTSP_SERVER), str(port), "10"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None  # noqa: S101  PIPE above; for mypy
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def has_rtsp() -> bool:
    """Whether PyAV and GStreamer's RTSP server are there."""
    if find_spec("av") is None or not DEBIAN_PYTHON.is_file():
        return False
    wanted = "import gi; gi.require_version('GstRtspServer', '1.0')"
    return not subprocess.run([str(DEBIAN_PYTHON), "-c", wanted], capture_output=True).returncode


async def run(folder: Path, minutes: float, bad_s: float) -> Findings:
    """Watch for some minutes."""
    mjpeg, snapshot = CameraServer(), CameraServer(mode="snapshot")
    mjpeg.frames_per_s = 10
    await mjpeg.start()
    await snapshot.start()
    dropped = folder / "files"
    dropped.mkdir()
    sources = {"mjpeg": mjpeg.url(), "snapshot": snapshot.url(), "folder": str(dropped)}
    rtsp_port = free_port() if has_rtsp() else None
    if rtsp_port:
        sources["rtsp"] = f"rtsp://127.0.0.1:{rtsp_port}/cam"
    config = folder / "gateway.toml"
    config.write_text("".join(TABLE.format(name=n, source=s) for n, s in sources.items()), "utf-8")
    log = folder / "log.txt"
    options = ("--config", str(config), "--log-level", "info")
    with start_gateway(STORE, MODEL, log, *options) as server:
        # All faults once: what they need at most is reserved then.
        warm_up_s = (len(FAULTS) + 2) * (bad_s + 2)
        server.request("GET", "/cameras", timeout_s=120)  # loads the routes, which takes seconds
        watched = Run(server, by_label(server, two_photos()), warm_up_s, minutes * 60)
        work = [
            watched.disturb("mjpeg", mjpeg, bad_s),
            watched.disturb("snapshot", snapshot, bad_s),
            watched.drop_files("folder", dropped),
        ]
        if rtsp_port:
            work.append(watched.disturb_rtsp("rtsp", rtsp_port, bad_s))
        await watched.all(*work)
    await mjpeg.stop()
    await snapshot.stop()
    findings = watched.findings
    findings.problems += re.findall(r"(?m)^.*(?: ERROR |Traceback|Exception).*$", log.read_text())
    return findings


def main(
    minutes: Annotated[float, typer.Option(help="Minutes to watch.")] = 10,
    bad_s: Annotated[float, typer.Option(help="Seconds of each fault.")] = 6,
) -> None:
    """Let cameras misbehave; exit status 1 if anything is not as it must be."""
    with TemporaryDirectory() as folder:
        found = asyncio.run(run(Path(folder), minutes, bad_s))
    for what, times in found.returns_s.items():
        print(
            f"{what:40} {len(times):4} times, back within {max(times):.2f} s, "
            f"usually {median(times):.2f} s"
        )
        if max(times) > RETURN_S:
            found.problems.append(f"{what}: back after {max(times):.2f} s")
    print(f"memory: {found.own_bytes[0] / 1e6:.1f} MB, grew by {found.growth_bytes / 1e6:.2f} MB")
    if found.growth_bytes > GROWTH_BYTES:
        found.problems.append("memory grew")
    print(
        "MB:", *(f"{one / 1e6:.0f}" for one in found.own_bytes[:: len(found.own_bytes) // 40 + 1])
    )
    for problem in found.problems:
        print("PROBLEM", problem)
    raise typer.Exit(bool(found.problems))


if __name__ == "__main__":
    typer.run(main)
