"""Classify archives of images on a Ray cluster: a folder or bucket of images into Parquet.

    python deploy/ray/batch.py photos/ labels/ --model mobilenet_v2_1.0_224 --store models/store
    ray job submit -- python batch.py s3://archive/2024 s3://labels/2024 --model ... --store /models

Run it again to continue: images whose path is in the destination are not classified again. Every
node needs `mobilenet-gateway`, `ray[data]` and the model store at the same path.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.commands.image_files import SUFFIXES
from app.errors import GatewayError
from app.library import Classification, Classifier

RECORD = "_run.json"  # readers of Parquet skip names with an underscore
READERS = 8  # files that an actor reads at once, so that it does not wait for a remote store
PUT_WHOLE = ("s3", "gcs", "abfs")  # here a file appears when it is complete


@dataclass(frozen=True)
class Run:
    """What all rows of a destination have in common."""

    source: str
    model: str
    resolution: int | None
    top_k: int


@dataclass
class Summary:
    """Counts of a run; `images_per_s` is counted from the first finished chunk."""

    files: int = 0
    done_before: int = 0
    classified: int = 0
    failed: int = 0
    started_s: float = 0.0
    took_s: float = 0.0
    images_per_s: float = 0.0


def absolute(address: str) -> str:
    """An address as it is, a folder as an absolute path: actors run in other folders."""
    return address if "://" in address else str(Path(address).absolute())


def open_address(address: str) -> tuple[pafs.FileSystem, str]:
    """The file system of an address or an absolute path, and the path in it.

    pyarrow's own file systems (s3, gs, abfs, hdfs) or those of fsspec.
    """
    if "://" not in address:
        return pafs.LocalFileSystem(), address
    try:
        opened: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(address)
    except pa.ArrowInvalid:  # not a scheme of pyarrow
        import fsspec

        files, path = fsspec.core.url_to_fs(address)
        return pafs.PyFileSystem(pafs.FSSpecHandler(files)), path
    return opened


def list_images(files: pafs.FileSystem, folder: str) -> list[str]:
    """The images below a folder, by their paths relative to it, in order.

    Raises:
        OSError: it cannot be read, or has a file that no row could name.
    """
    begin = len(folder.rstrip("/")) + 1
    try:
        found = files.get_file_info(pafs.FileSelector(folder, recursive=True))
        names = [one.path[begin:] for one in found if one.type == pafs.FileType.File]
    except UnicodeDecodeError as error:
        raise OSError(f"The name of {error.object!r} is not UTF-8. Rename it.") from error
    return sorted(
        name
        for name, path in ((name, PurePosixPath(name)) for name in names)
        if path.suffix.lower() in SUFFIXES and not any(part[0] == "." for part in path.parts)
    )


def paths_done(files: pafs.FileSystem, folder: str) -> set[str]:
    """The paths of the images that have a row."""
    done: set[str] = set()
    for part in files.get_file_info(pafs.FileSelector(folder)):
        if part.extension == "parquet" and part.base_name[0] not in "._":
            table = pq.read_table(part.path, columns=["path"], filesystem=files)
            done.update(table.column("path").to_pylist())
    return done


def chunks_left(paths: Sequence[str], done: set[str], size: int) -> Iterator[list[str]]:
    """What is left to do.

    The chunks are cut from all images, so that a run that is repeated writes the same files: an
    actor that outlives its run cannot add rows a second time.
    """
    for begin in range(0, len(paths), size):
        if left := [path for path in paths[begin : begin + size] if path not in done]:
            yield left


def schema(top_k: int) -> pa.Schema:
    """The columns, as those of `classify --output NAME.parquet`."""
    ranks = [
        (f"{name}_{rank}", kind)
        for rank in range(1, top_k + 1)
        for name, kind in (
            ("class_id", pa.int32()), ("label", pa.string()), ("probability", pa.float64()),
        )
    ]  # fmt: skip
    texts = [(name, pa.string()) for name in ("path", "error", "error_detail", "model")]
    times = [("decode_ms", pa.float64()), ("inference_ms", pa.float64())]
    return pa.schema(
        [*texts, ("resolution", pa.int32()), *times, ("warnings", pa.string()), *ranks]
    )


def to_row(path: str, found: Classification | Exception) -> dict[str, Any]:
    """A row; what is missing from it is null."""
    if isinstance(found, Exception):
        kind, detail = getattr(found, "type", "unreadable-image"), str(found)
        return {"path": path, "error": kind, "error_detail": detail}
    row: dict[str, Any] = {
        "path": path,
        "model": found.model,
        "resolution": found.resolution,
        "decode_ms": found.decode_ms,
        "inference_ms": found.inference_ms,
        "warnings": " ".join(found.warnings) or None,
    }
    for rank, one in enumerate(found.predictions, start=1):
        row |= {
            f"class_id_{rank}": one.class_id,
            f"label_{rank}": one.label,
            f"probability_{rank}": one.probability,
        }
    return row


class ClassifyChunks:
    """An actor on one core: reads the images of a chunk, classifies them, and writes a file.

    Ray may run a chunk twice when a node is lost. The name of its file depends on its images only,
    so the second file replaces the first.
    """

    def __init__(self, classifier: Classifier, top_k: int, source: str, destination: str) -> None:
        self._classifier = classifier.open()
        self._top_k = top_k
        self._source, self._source_folder = open_address(source)
        self._destination, self._folder = open_address(destination)
        self._readers = ThreadPoolExecutor(READERS, "read")

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        counts: dict[str, list[int]] = {"classified": [], "failed": []}
        for chunk in batch["chunk"]:
            rows = [to_row(path, self._classify(data)) for path, data in self._read(list(chunk))]
            self._write(rows)
            failed = sum(row.get("error") is not None for row in rows)
            counts["failed"].append(failed)
            counts["classified"].append(len(rows) - failed)
        return counts

    def _classify(self, data: bytes | Exception) -> Classification | Exception:
        if isinstance(data, Exception):
            return data
        try:
            return self._classifier.classify(data, top_k=self._top_k)
        except GatewayError as error:
            return error

    def _read(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """The files in order, a few of them read ahead."""
        waiting: deque[tuple[str, Future[bytes | Exception]]] = deque()
        for path in paths:
            waiting.append((path, self._readers.submit(self._read_file, path)))
            if len(waiting) >= 2 * READERS:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()

    def _read_file(self, path: str) -> bytes | Exception:
        try:
            with self._source.open_input_stream(f"{self._source_folder}/{path}") as file:
                # one byte more than is allowed, so that a large file has its error
                content: bytes = file.read(self._classifier.max_bytes + 1)
                return content
        except OSError as error:
            return error

    def _write(self, rows: list[dict[str, Any]]) -> None:
        names = "\n".join(row["path"] for row in rows)
        name = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        packed = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema(self._top_k)), packed)
        put(self._destination, f"{self._folder}/{name}.parquet", packed.getvalue())


def put(files: pafs.FileSystem, path: str, content: Any) -> None:
    """Write a file that is complete as soon as it has its name."""
    folder, _, name = path.rpartition("/")
    whole = files.type_name in PUT_WHOLE
    written = path if whole else f"{folder}/.{name}.{os.getpid()}.partial"
    with files.open_output_stream(written) as file:
        file.write(content)
    if not whole:
        files.move(written, path)


def check_record(files: pafs.FileSystem, folder: str, run: Run) -> None:
    """Write what the rows of this destination have in common, or compare with it."""
    files.create_dir(folder, recursive=True)
    path = f"{folder}/{RECORD}"
    if files.get_file_info(path).type == pafs.FileType.NotFound:
        put(files, path, json.dumps(asdict(run)).encode())
        return
    with files.open_input_stream(path) as file:
        before = json.loads(file.read())
    if before != asdict(run):
        sys.exit(f"error: {folder} belongs to another run: {before}. Name another destination.")


def classify(arguments: argparse.Namespace) -> Summary:
    """Run the chunks that are left on all cores of the cluster."""
    import ray.data  # here, so that the rest can be read and tried without Ray

    files, folder = open_address(arguments.destination)
    run = Run(arguments.source, arguments.model, arguments.resolution, arguments.top_k)
    check_record(files, folder, run)
    paths = list_images(*open_address(arguments.source))
    done = paths_done(files, folder)
    chunks = [{"chunk": chunk} for chunk in chunks_left(paths, done, arguments.chunk)]
    left = sum(len(one["chunk"]) for one in chunks)
    summary = Summary(len(paths), len(paths) - left)
    if not chunks:
        return summary
    classifier = Classifier(
        arguments.model, store=arguments.store, resolution=arguments.resolution, workers=1
    )
    cores = arguments.actors or int(ray.cluster_resources()["CPU"])
    actors = ray.data.ActorPoolStrategy(
        min_size=1,
        initial_size=min(cores, len(chunks)),
        max_size=arguments.actors,
        max_tasks_in_flight_per_actor=2,
    )
    counts = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map_batches(
        ClassifyChunks,
        fn_constructor_args=(classifier, arguments.top_k, arguments.source, arguments.destination),
        batch_size=1,
        batch_format="numpy",
        compute=actors,
        num_cpus=1,
    )
    began = time.monotonic()
    first = 0
    for row in counts.iter_rows():
        if not summary.started_s:
            summary.started_s = time.monotonic() - began
            first = row["classified"] + row["failed"]
        summary.classified += row["classified"]
        summary.failed += row["failed"]
    summary.took_s = time.monotonic() - began
    later = summary.classified + summary.failed - first
    summary.images_per_s = later / max(summary.took_s - summary.started_s, 1e-9)
    return summary


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("source", type=absolute, help="Folder or address of the images.")
    parser.add_argument("destination", type=absolute, help="Folder or address for Parquet files.")
    # required: the default model of each machine depends on its CPU
    parser.add_argument("--model", required=True, help="Name of a model of the store.")
    parser.add_argument("--store", help="Folder of the models, on every node.")
    parser.add_argument("--resolution", type=int, help="Side of the model's input.")
    parser.add_argument("--top-k", type=int, default=5, help="Classes in each row (5).")
    parser.add_argument("--chunk", type=int, default=500, help="Images in each file (500).")
    parser.add_argument("--actors", type=int, help="Maximum of cores; default: the cluster's.")
    return parser


def main() -> None:
    arguments = parser().parse_args()
    import ray.data

    ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    try:
        summary = classify(arguments)
    except (OSError, GatewayError) as error:  # of the driver; those of actors have Ray's text
        sys.exit(f"error: {error}")
    print(json.dumps(asdict(summary), indent=2))


if __name__ == "__main__":
    main()
