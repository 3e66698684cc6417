"""A run of `classify`: finds the images without a row, classifies them, and can be stopped."""

import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn, Protocol

from mobilenet_gateway_client._command.folder import list_images
from mobilenet_gateway_client._command.formats import Csv, JsonLines, OutputError, RowFormat
from mobilenet_gateway_client._command.overlay import write_overlay
from mobilenet_gateway_client._command.parquet import check_pyarrow, check_table, write_parquet
from mobilenet_gateway_client._command.progress import Progress
from mobilenet_gateway_client._command.rows import EMBEDDING_COLUMNS, Row, columns
from mobilenet_gateway_client._command.run_file import Identity, RunFile
from mobilenet_gateway_client._errors import Closed
from mobilenet_gateway_client._options import Options
from mobilenet_gateway_client._results import Classification

SUFFIXES = (".csv", ".jsonl", ".parquet")


class Images(Protocol):
    """What classifies the images of a run: a `Client`, or this machine."""

    def classify_each(
        self, images: Iterator[Path], options: Options
    ) -> Generator[tuple[Path, Classification], None, None]:
        """As `Client.classify_each`."""

    def stop_retrying(self) -> None:
        """As `Client.stop_retrying`."""


@dataclass(slots=True)
class Summary:
    """Counts of a run, with the fields of `--json`; `passed_over` counts files of other types.

    `failed` counts the errors of this run, `failed_before` those of earlier runs that are still in
    the output; `failed_files` has the details of both by file name.
    """

    output: str
    files: int = 0
    done_before: int = 0
    classified: int = 0
    failed: int = 0
    failed_before: int = 0
    passed_over: int = 0
    took_s: float = 0.0
    images_per_s: float = 0.0
    stopped: bool = False
    failed_files: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class StopRequest:
    """A signal handler: the first signal ends the run after the requests in flight.

    The second one calls `exit_now`.
    """

    client: Images
    exit_now: Callable[[], NoReturn]
    received: bool = False

    def __call__(self, *_: Any) -> None:
        if self.received:
            self.exit_now()
        self.received = True
        self.client.stop_retrying()


def check_output(output: Path, *, embeddings: bool) -> None:
    """Check that the format of the output is supported; embeddings need Parquet.

    Raises:
        OutputError: the suffix is unknown, or the package for it is not installed.
    """
    if embeddings and output.suffix != ".parquet":
        raise OutputError(f"Embeddings are written as .parquet, not to {output}.")
    if output.suffix not in SUFFIXES:
        raise OutputError(f"Unsupported output: {output}. Supported: {', '.join(SUFFIXES)}.")
    if output.suffix == ".parquet":
        check_pyarrow()


def classify_folder(
    client: Images,
    identity: Identity,
    output: Path,
    progress: Progress,
    exit_now: Callable[[], NoReturn],
    *,
    embeddings: bool = False,
    retry_failed: bool = False,
    explain: Path | None = None,
) -> Summary:
    """Classify every image of a folder that has no row in `output` yet, or embed it.

    With `retry_failed`, rows of errors do not count. The folder `explain` gets overlays.

    A second signal calls `exit_now`, which ends the process: an orderly end would wait for the
    threads that wait for an answer. At most the row that is being written is lost.

    Raises:
        ClientError: no image can be classified, for example because the gateway is unreachable or
            the model unknown. Rows that are written stay.
        OutputError: the output belongs to another run, or cannot be written.
        OSError: the folder cannot be read.
    """
    folder = Path(identity.folder)
    listing = list_images(folder, recursive=identity.recursive)
    summary = Summary(str(output), len(listing.names), passed_over=listing.skipped)
    options = Options(
        identity.model,
        identity.resolution,
        identity.top_k,
        embedding=embeddings,
        explain=explain is not None,
    )
    names = EMBEDDING_COLUMNS if embeddings else columns(identity.top_k)
    row_format: RowFormat = Csv(names) if output.suffix == ".csv" else JsonLines()
    as_table = output.suffix == ".parquet"  # written at the end, from lines
    rows_kind = "embeddings" if embeddings else "rows"
    lines = output.with_name(f"{output.name}.{rows_kind}.jsonl") if as_table else output
    if as_table:
        check_table(lines, output, names)
    with RunFile(lines, row_format, identity, retry_failed=retry_failed) as rows:
        summary.failed_before = len(rows.failed)
        remaining = [name for name in listing.names if name not in rows.done]
        summary.done_before = summary.files - len(remaining)
        progress.start(summary.files, summary.done_before)
        with _stoppable(StopRequest(client, exit_now)) as stop:
            began = time.monotonic()
            for row in _rows(client, folder, remaining, options, stop):
                if explain is not None:
                    write_overlay(row, explain)
                rows.append(row)
                summary.failed += row.failed
                summary.classified += not row.failed
                progress.advance()
            summary.took_s = round(time.monotonic() - began, 3)
        summary.stopped = stop.received and summary.classified + summary.failed < len(remaining)
        if summary.took_s:
            summary.images_per_s = round((summary.classified + summary.failed) / summary.took_s, 1)
        summary.failed_files = dict(rows.failed)
        if as_table and not summary.stopped:
            write_parquet(rows.path, output, names)
    return summary


def _rows(
    client: Images, folder: Path, names: Sequence[str], options: Options, stop: StopRequest
) -> Iterator[Row]:
    """The rows of files in the order of their answers, until a stop is requested."""
    paths = (folder / name for name in takewhile(lambda _: not stop.received, names))
    with closing(client.classify_each(paths, options)) as answers:
        try:
            for path, classification in answers:
                yield Row(path.relative_to(folder).as_posix(), classification)
        except Closed:  # the stop ended the wait for another attempt
            if not stop.received:
                raise


@contextmanager
def _stoppable(stop: StopRequest) -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM with `stop` inside the block."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
