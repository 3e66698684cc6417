"""`make bench-peers`: the service beside other model servers, one running at a time."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.host import processes
from loadtest.host.gateway import GATEWAY
from loadtest.host.machine import MachineMonitor
from loadtest.host.model_store import (
    LARGEST,
    LARGEST_INT8,
    SMALLEST,
    STORE,
    make_default_store,
    make_store,
)
from loadtest.host.server import ServerError
from loadtest.load.bare_loop import BareLoop
from loadtest.load.photos import prepare_photos
from loadtest.load.wrk import check_wrk, saturating
from loadtest.peers.peer import Peer, PeerUnavailable, read_peers
from loadtest.peers.report import render
from loadtest.peers.result import Comparison, PeersResult, ServerDescription
from loadtest.peers.workload import (
    GATEWAY_NAME,
    DefaultInstall,
    Gateway,
    ServerUnderTest,
    Workload,
)
from loadtest.report import save

CONSOLE = Console(stderr=True)


def rank(model: Path, photo: Path) -> list[str]:
    """Return the 100 most probable class names, from this service with full decoding.

    It runs in a child process for the same reason as `prepare_photos`.
    """
    command = [str(GATEWAY), "predict", str(photo), "--json", "--top-k", "100"]
    command += ["--store", str(model.parent), "--model", model.stem]
    env = {**os.environ, "GATEWAY_REDUCED_DECODE": "false"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    predictions = json.loads(done.stdout)["results"][0]["predictions"]
    return [prediction["label"] for prediction in predictions]


def install(names: Sequence[str]) -> tuple[list[Peer], dict[str, str]]:
    """Install the named peers, or all; return the installed ones and why others are not.

    Raises:
        SystemExit: a name is unknown, or no peer could be installed.
    """
    peers = read_peers()
    known = [peer.name for peer in peers]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"error: Unknown peer {unknown[0]!r}. Known peers: {', '.join(known)}.")
    installed: list[Peer] = []
    failed: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        for peer in peers:
            if names and peer.name not in names:
                continue
            CONSOLE.print(f"{peer.title}: installing into {peer.venv.parent.name}/{peer.name}")
            try:
                peer.install(Path(folder) / "pip.log")
                installed.append(peer)
            except PeerUnavailable as error:
                failed[peer.name] = f"not installed: {error}"
                CONSOLE.print(f"{peer.title}: {failed[peer.name]}", markup=False)
    if not installed:
        raise SystemExit("error: No peer could be installed, so there is nothing to compare with.")
    return installed, failed


def rotate(servers: Sequence[ServerUnderTest], rounds: int) -> Iterator[ServerUnderTest]:
    """Yield each server once per round; each round starts with another server."""
    for number in range(rounds):
        first = number % len(servers)
        yield from (*servers[first:], *servers[:first])


def compare(workload: Workload, order: Iterator[ServerUnderTest], progress: Progress) -> Comparison:
    """Run all rounds with one model; skip a server after its first failure."""
    found = Comparison(workload.model.stem, workload.ranked[0])
    bar = progress.tasks[0].id
    for server in order:
        what = f"{workload.model.stem}: {server.name}"
        progress.update(bar, advance=1, description=f"{what:<42}")
        if server.name in found.skipped:
            continue
        try:
            found.runs.setdefault(server.name, []).append(workload.run(server))
        except ServerError as error:
            found.runs.pop(server.name, None)
            found.skipped[server.name] = str(error)
            progress.console.print(f"{what}: {error}", markup=False)
    return found


def compare_forms(store: Path, photo: Path, cores: int, rounds: int, seconds: int) -> float:
    """Images/s of the bare loop with the INT8 form, relative to the float form, in turns."""
    with (
        BareLoop(store / f"{LARGEST}.onnx") as of_float,
        BareLoop(store / f"{LARGEST_INT8}.onnx") as int8,
    ):
        pairs = [
            (int8.run(photo, cores, seconds), of_float.run(photo, cores, seconds))
            for _ in range(rounds)
        ]
    return median(fast.images_per_s / slow.images_per_s for fast, slow in pairs)


def main(
    store: Annotated[Path, typer.Option(help="Folder of the .onnx files.")] = STORE,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each server.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of load in a run.")] = 6,
    only: Annotated[list[str] | None, typer.Option(help="Peers to run; default: all.")] = None,
    publish: Annotated[
        bool, typer.Option(help="Update docs/performance.md, unless --only is given.")
    ] = True,
) -> None:
    """Install the peers, run all servers in turn, and write tables."""
    check_wrk()
    processes.adopt_orphans()
    peers, failed = install(only or [])
    monitor = MachineMonitor()
    cores = monitor.machine.cores
    servers: list[ServerUnderTest] = [Gateway(monitor.machine.packages[GATEWAY_NAME]), *peers]
    comparisons = []
    bare_int8_ratio = None
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        TemporaryDirectory() as name,
        Progress(*columns, console=CONSOLE, transient=True) as progress,
    ):
        folder = Path(name)
        photo = prepare_photos(folder / "photos")["720p"]
        both = make_default_store(store, folder)
        installed = [DefaultInstall(servers[0].version, both)] if both else []
        progress.add_task("start", total=rounds * (2 * len(servers) + len(installed)))
        for model in (LARGEST, SMALLEST):
            file = make_store(model, store, folder)
            ranked = rank(file, photo)
            workload = Workload(file, photo.read_bytes(), ranked, cores, seconds, folder)
            tested = [*servers, *installed] if model == LARGEST else servers
            comparisons.append(compare(workload, rotate(tested, rounds), progress))
            comparisons[-1].skipped.update(failed)
        if both:
            bare_int8_ratio = compare_forms(both, photo, cores, rounds, seconds)
    descriptions = {
        server.name: ServerDescription(server.title, server.version, server.settings)
        for server in (*servers, *installed)
    }
    result = PeersResult(
        monitor.conditions(),
        saturating(cores),
        rounds,
        seconds,
        descriptions,
        comparisons,
        bare_int8_ratio,
    )
    # A part must not replace the whole comparison in the page.
    save("peers", render(result), result, publish=publish and not only)


if __name__ == "__main__":
    typer.run(main)
