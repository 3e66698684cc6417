"""Classifying a folder into a file: what is left to do, doing it, and stopping in between."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from mobilenet_gateway_client._calls import Options
from mobilenet_gateway_client._client import Client
from mobilenet_gateway_client._command.folder import list_images
from mobilenet_gateway_client._command.parquet import check_pyarrow, check_table, write_parquet
from mobilenet_gateway_client._command.rows import Row, columns
from mobilenet_gateway_client._command.run_file import (
    Csv,
    Form,
    Identity,
    JsonLines,
    OutputError,
    RunFile,
)
from mobilenet_gateway_client._errors import Closed

ENDINGS = (".csv", ".jsonl", ".parquet")
Progress = Callable[[], None]


@dataclass(slots=True)
class Summary:
    """What a run did. `done_before` counts files that an earlier run has rows of."""

    output: str
    files: int = 0
    done_before: int = 0
    classified: int = 0
    failed: int = 0
    passed_over: int = 0
    took_s: float = 0.0
    images_per_s: float = 0.0
    stopped: bool = False


@dataclass(slots=True)
class Stop:
    """Whether the run shall end: no new files, but those that were sent are written.

    Asked again, it calls `leave`, which does not return.
    """

    client: Client
    leave: Callable[[], NoReturn]
    asked: bool = field(default=False)

    def __call__(self, *_: Any) -> None:
        if self.asked:
            self.leave()
        self.asked = True
        self.client.stop_retrying()


def check_output(output: Path) -> None:
    """Find out early whether the output can be of the form that its name says.

    Raises:
        OutputError: its ending is unknown, or what writes it is not installed.
    """
    if output.suffix not in ENDINGS:
        raise OutputError(f"{output}: the name has to end in {', '.join(ENDINGS)}")
    if output.suffix == ".parquet":
        check_pyarrow()


def classify_folder(
    client: Client,
    identity: Identity,
    output: Path,
    started: Callable[[Summary], Progress],
    leave: Callable[[], NoReturn],
) -> Summary:
    """Classify every image of a folder that has no row in `output` yet.

    `started` is told what there is to do, and returns what is called after each row. `leave` ends
    the process when a second signal asks for it: threads that wait for an answer would hold up an
    end in good order. At most the row that is being written is lost.

    Raises:
        ClientError: no image can be classified: the gateway is away, the model is not there. What
            is done stays done.
        OutputError: the output is not of the same run, or cannot be written.
        OSError: the folder cannot be read.
    """
    folder = Path(identity.folder)
    listing = list_images(folder, recursive=identity.recursive)
    summary = Summary(str(output), len(listing.names), passed_over=listing.passed_over)
    options = Options(identity.model, identity.resolution, identity.top_k)
    if output.suffix == ".parquet":
        check_table(_rows_path(output), output, identity.top_k)
    with RunFile(_rows_path(output), _form(output, identity.top_k), identity) as rows:
        left = [name for name in listing.names if name not in rows.done]
        summary.done_before = summary.files - len(left)
        progress = started(summary)
        with _stoppable(Stop(client, leave)) as stop:
            began = time.monotonic()
            for row in _rows(client, folder, left, options, stop):
                rows.append(row)
                summary.failed += row.failed
                summary.classified += not row.failed
                progress()
            summary.took_s = round(time.monotonic() - began, 3)
        summary.stopped = stop.asked and summary.classified + summary.failed < len(left)
        if summary.took_s:
            summary.images_per_s = round((summary.classified + summary.failed) / summary.took_s, 1)
        if output.suffix == ".parquet" and not summary.stopped:
            write_parquet(rows.path, output, identity.top_k)
    return summary


def _rows(
    client: Client, folder: Path, names: Sequence[str], options: Options, stop: Stop
) -> Iterator[Row]:
    """The rows of files in the order in which they are answered, until it shall stop."""

    def paths() -> Iterator[Path]:
        for name in names:
            if stop.asked:
                return
            yield folder / name

    with closing(client.classify_each(paths(), options)) as answers:
        try:
            for path, found in answers:
                yield Row(path.relative_to(folder).as_posix(), found)
        except Closed:  # it waited for the gateway when it was asked to stop
            if not stop.asked:
                raise


@contextmanager
def _stoppable(stop: Stop) -> Iterator[Stop]:
    """While this lasts, the first SIGINT or SIGTERM asks for a stop, the second ends at once."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _form(output: Path, top_k: int) -> Form:
    return Csv(columns(top_k)) if output.suffix == ".csv" else JsonLines()


def _rows_path(output: Path) -> Path:
    """Where rows go as they come; a table of Parquet is made of them in the end."""
    return output.with_name(f"{output.name}.rows.jsonl") if output.suffix == ".parquet" else output
