"""Options, output and errors that the commands of `models` share."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from app.commands import console
from app.errors import GatewayError
from app.settings_sources import load_settings
from models.progress import Progress as ProgressCallback

StoreOption = Annotated[
    Path | None, typer.Option(help="Model store: folder of the .onnx files. [env: GATEWAY_STORE]")
]
FamilyOption = Annotated[str, typer.Option(help="mobilenet_v1 or mobilenet_v2.")]
AlphaOption = Annotated[float, typer.Option(help="Width multiplier.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class CommandError(GatewayError):
    """A command cannot be carried out; the message is for the terminal."""


def store_folder(option: Path | None) -> Path:
    return option or load_settings().store


def print_result(data: Any, table: Callable[[], Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, indent=2))
    else:
        console.show(table())


def print_status(text: str) -> None:
    """Print a line to stderr without markup or wrapping, so that paths stay unchanged."""
    Console(stderr=True, markup=False, emoji=False, highlight=False).print(text, soft_wrap=True)


@contextmanager
def errors_reported(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into one line on the terminal."""
    try:
        yield
    except kinds as error:
        if isinstance(error, OSError) and error.filename:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        raise CommandError(str(error)) from error


@contextmanager
def progress_bars(*columns: ProgressColumn) -> Iterator[ProgressCallback]:
    """A progress bar for each task; silent if stderr is not a terminal."""
    stderr = Console(stderr=True)
    details = columns or (MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), *details,
        console=stderr, transient=True, disable=not stderr.is_terminal,
    ) as bars:  # fmt: skip
        tasks: dict[str, TaskID] = {}

        def update(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield update
