"""`make check-ray`: deploy/ray/batch.py on a real cluster, with nodes and drivers that are killed.

python -m loadtest.batch.check_ray                   # everything
python -m loadtest.batch.check_ray --only throughput --rounds 5
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loadtest.host.model_store import LARGEST, ROOT, SMALLEST, STORE, make_store
from loadtest.host.server import Server, free_port
from loadtest.load.bare_loop import BareLoop
from loadtest.load.photos import prepare_photos

BATCH = ROOT / "deploy" / "ray" / "batch.py"
OBJECT_STORE_BYTES = 100_000_000
FILES, DISTINCT, CHUNK = 2000, 40, 50
LARGE_FILES, EARLY_FILES, LARGE_CHUNK = 100_000, 10_000, 500
MIN_SHARE, MAX_GROWTH_BYTES = 0.75, 50_000_000
TIMEOUT_S = 3600.0
NODE_S, ATTEMPTS = 300.0, 5


def write_images(folder: Path, count: int, size: tuple[int, int] = (320, 240)) -> None:
    """So many files, of which a few are distinct, one is no image and one is a GIF."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(DISTINCT):
        pixels = random.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize(size)
        image.save(folder / f"{number:06}.jpg", quality=85)
    for number in range(DISTINCT, count):
        os.link(folder / f"{number % DISTINCT:06}.jpg", folder / f"{number:06}.jpg")
    for number, suffix in ((5, "jpg"), (6, "gif")):
        (folder / f"{number:06}.jpg").unlink()
        with (folder / f"{number:06}.{suffix}").open("wb") as file:
            if suffix == "gif":
                image.save(file, "GIF")
            else:
                file.write(b"no image")


@contextmanager
def cluster(cores: list[int]) -> Iterator[Any]:
    """A head with the first of the cores, and a raylet more for each other number of cores."""
    from ray.cluster_utils import Cluster

    limits = {"object_store_memory": OBJECT_STORE_BYTES}
    made = Cluster()
    try:
        for count in cores:
            add_node(made, num_cpus=count, **limits)
        made.wait_for_nodes(NODE_S)
        yield made
    finally:
        made.shutdown()


def add_node(made: Any, **options: int) -> None:
    """Add a raylet; on a busy machine Ray's patience of 30 s is too short for one attempt."""
    for attempt in range(ATTEMPTS):
        try:
            made.add_node(wait=False, **options)
        except Exception:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def start_batch(address: str, source: Path, target: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(BATCH), str(source), str(target), *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "RAY_ADDRESS": address}
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    printed, _ = process.communicate(timeout=TIMEOUT_S)
    if process.returncode:
        raise SystemExit(f"batch.py ended with status {process.returncode}")
    try:
        # from the last line that only opens it: Ray prints the log of a killed raylet before
        summary: dict[str, Any] = json.loads("{" + re.split(r"^\{$", printed, flags=re.M)[-1])
    except ValueError as error:
        raise SystemExit(f"batch.py printed no summary: {printed!r}") from error
    return summary


def files_written(target: Path) -> int:
    return len(list(target.glob("[!_.]*.parquet"))) if target.is_dir() else 0


def has_written(target: Path, files: int) -> bool:
    return files_written(target) >= files


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a condition while a run goes on."""
    while not condition():
        if process.poll() is not None:
            raise SystemExit("The run ended too early.")
        time.sleep(0.02)


def rows_of(target: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(target).to_pylist()
    return rows


def check_rows(rows: list[dict[str, Any]], source: Path) -> str:
    """Every path once.

    Raises:
        SystemExit: one is missing, or has several rows.
    """
    paths = [row["path"] for row in rows]
    expected = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.*"))
    if sorted(paths) != expected:
        twice = len(paths) - len(set(paths))
        missing = len(set(expected) - set(paths))
        raise SystemExit(f"FAILED: {missing} paths missing, {twice} rows too many")
    return f"{len(paths)} paths, each exactly once"


def check_answers(rows: list[dict[str, Any]], source: Path, store: Path, model: str) -> str:
    """The answers are those of `/predict`, bit by bit."""
    command = [sys.executable, "-c", "from app.commands.main import main; main()", "serve"]
    port = free_port()
    settings = {"GATEWAY_STORE": str(store), "GATEWAY_PORT": str(port)}
    by_file: dict[bytes, Any] = {}
    compared = 0
    with (
        TemporaryDirectory() as folder,
        Server(command, port, "/readyz", env=settings, log=Path(folder) / "log") as server,
    ):
        for row in rows:
            data = (source / row["path"]).read_bytes()
            if data not in by_file:
                try:
                    text = server.post(f"/predict?model={model}", "image/jpeg", data)
                    by_file[data] = json.loads(text)["results"][0]["predictions"]
                except Exception:
                    by_file[data] = None
            sent = by_file[data]
            if sent is None:
                same = row["error"] == "not-an-image"
            else:
                same = [
                    {
                        "class_id": row[f"class_id_{rank}"],
                        "label": row[f"label_{rank}"],
                        "probability": row[f"probability_{rank}"],
                    }
                    for rank in range(1, 6)
                ] == sent
            if not same:
                raise SystemExit(f"FAILED: {row} is not {sent}")
            compared += 1
    return f"{compared} rows equal to /predict ({len(by_file)} distinct files)"


def check_nodes(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """One of two raylets is killed in the middle."""
    source, target = folder / "photos", folder / "labels"
    write_images(source, FILES)
    chunk = str(CHUNK)
    with cluster([1, 1]) as made:
        node = next(iter(made.worker_nodes))
        process = start_batch(
            made.address, source, target, "--model", options.model, "--store", str(options.store),
            "--chunk", chunk,
        )  # fmt: skip
        wait_for(partial(has_written, target, FILES // CHUNK // 3), process)
        written = files_written(target)
        made.remove_node(node, allow_graceful=False)
        summary = finish(process)
    rows = rows_of(target)
    yield f"raylet killed after {written} of {FILES // CHUNK} files: {check_rows(rows, source)}"
    yield check_answers(rows, source, options.store, options.model)
    yield f"summary: {summary}"


def check_driver(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """The driver is killed in the middle, and the run started again at once."""
    source, target = folder / "photos", folder / "labels"
    write_images(source, FILES)
    more = ("--model", options.model, "--store", str(options.store), "--chunk", str(CHUNK))
    with cluster([1, 1]) as made:
        process = start_batch(made.address, source, target, *more)
        wait_for(partial(has_written, target, FILES // CHUNK // 3), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        written = len(rows_of(target))
        summary = finish(start_batch(made.address, source, target, *more))
        again = finish(start_batch(made.address, source, target, *more))
    yield f"driver killed after {written} rows: {check_rows(rows_of(target), source)}"
    rest = summary["classified"] + summary["failed"]
    if not written <= summary["done_before"] == FILES - rest or again["done_before"] != FILES:
        raise SystemExit(f"FAILED: the second run did not do only the rest: {summary}")
    yield f"the second run did {rest} images, the third none"


def check_throughput(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Images a second against the bare loop on as many threads, in turn."""
    photo = folder / "photo.jpg"
    shutil.copy(options.photo or prepare_photos(folder / "photo")["720p"], photo)
    source = folder / "photos"
    source.mkdir()
    for number in range(options.images):
        os.link(photo, source / f"{number:06}.jpg")
    shares = []
    with cluster([2]) as made, BareLoop(options.store / f"{options.model}.onnx") as bare:
        for number in range(options.rounds):
            before = bare.run(photo, 2, options.seconds)
            target = folder / f"labels-{number}"
            summary = finish(
                start_batch(
                    made.address, source, target, "--model", options.model, "--store",
                    str(options.store), "--chunk", str(CHUNK),
                )
            )  # fmt: skip
            after = bare.run(photo, 2, options.seconds)
            loop = statistics.mean((before.images_per_s, after.images_per_s))
            shares.append(summary["images_per_s"] / loop)
            yield (
                f"round {number + 1}: {summary['images_per_s']:.1f} images/s, bare loop "
                f"{before.images_per_s:.1f} and {after.images_per_s:.1f}: {shares[-1]:.2f}"
            )
            shutil.rmtree(target)
    median = statistics.median(shares)
    yield f"median {median:.2f} of the bare loop"
    if median < MIN_SHARE:
        raise SystemExit(f"FAILED: at least {MIN_SHARE} is promised")


def resident_bytes(of: str) -> int:
    """The memory of the processes whose command line has this text."""
    total = 0
    for folder in Path("/proc").iterdir():
        try:
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            if folder.name.isdigit() and of in command:
                pages = int((folder / "statm").read_text().split()[1])
                total += pages * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            continue
    return total


def check_memory(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """The memory of driver and actors after 10,000 and after 100,000 images."""
    source, target = folder / "photos", folder / "labels"
    write_images(source, LARGE_FILES, (160, 120))
    store = make_store(options.small_model, options.store, folder).parent
    with cluster([2]) as made:
        process = start_batch(
            made.address, source, target, "--model", options.small_model, "--store",
            str(store), "--chunk", str(LARGE_CHUNK),
        )  # fmt: skip
        sizes = []
        for images in (EARLY_FILES, LARGE_FILES - 4 * LARGE_CHUNK):
            wait_for(partial(has_written, target, images // LARGE_CHUNK), process)
            sizes.append((resident_bytes("ray::MapWorker"), resident_bytes(str(BATCH))))
            yield (
                f"after {images} images: actors {sizes[-1][0] / 1e6:.0f} MB, "
                f"driver {sizes[-1][1] / 1e6:.0f} MB"
            )
        summary = finish(process)
    yield check_rows(rows_of(target), source)
    growth = max(late - early for early, late in zip(*sizes, strict=True))
    yield f"grown by {growth / 1e6:.0f} MB; summary: {summary}"
    if growth > MAX_GROWTH_BYTES:
        raise SystemExit(f"FAILED: at most {MAX_GROWTH_BYTES / 1e6:.0f} MB are promised")


CHECKS: dict[str, Callable[[Path, argparse.Namespace], Iterator[str]]] = {
    "nodes": check_nodes,
    "driver": check_driver,
    "throughput": check_throughput,
    "memory": check_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", action="append", choices=CHECKS, help="One check; repeatable.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="Of the bare loop, each time.")
    parser.add_argument("--images", type=int, default=3000, help="Of a round of throughput.")
    parser.add_argument("--photo", type=Path, help="Of throughput; default: the 720p photo.")
    parser.add_argument("--model", default=LARGEST)
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument("--small-model", default=SMALLEST)
    options = parser.parse_args()
    # Ray gives its workers a low priority, at which other work would favour the bare loop.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    for name in options.only or CHECKS:
        began = time.monotonic()
        with TemporaryDirectory() as folder:
            for line in CHECKS[name](Path(folder), options):
                print(f"{name}: {line}", flush=True)
        print(f"{name}: took {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
