"""What the commands of `models` share: their common options, output and errors."""

import json
from collections.abc import Callable, Iterator, Sequence
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
from app.settings import load_settings

StoreOption = Annotated[
    Path | None, typer.Option(help="Folder of the .onnx files. [env: GATEWAY_STORE]")
]
FamilyOption = Annotated[str, typer.Option(help="mobilenet_v1 or mobilenet_v2.")]
AlphaOption = Annotated[float, typer.Option(help="Width multiplier.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class CommandError(GatewayError):
    """What was asked on the command line cannot be done."""


def store_folder(given: Path | None) -> Path:
    """The store that the option names, or else the setting."""
    return given or load_settings().store


def show(data: Any, table: Callable[[], Any], as_json: bool) -> None:
    """Print data as JSON, or else the table that is made of them."""
    if as_json:
        print(json.dumps(data, indent=2))
    else:
        console.show(table())


def tell(text: str) -> None:
    """Say beside the output what was done, paths in it as they are."""
    Console(stderr=True, markup=False, emoji=False, highlight=False).print(text, soft_wrap=True)


@contextmanager
def errors_reported(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that a person can act on into one line on the terminal."""
    try:
        yield
    except kinds as error:
        if isinstance(error, OSError) and error.filename:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        raise CommandError(str(error)) from error


@contextmanager
def task_bars(
    stderr: Console, columns: Sequence[ProgressColumn] | None = None
) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each task that tells how much of it is done; nothing where nobody looks."""
    shown = columns or (MofNCompleteColumn(), TimeRemainingColumn())
    quiet = not stderr.is_terminal
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), *shown,
        console=stderr, transient=True, disable=quiet,
    ) as bars:  # fmt: skip
        tasks: dict[str, TaskID] = {}

        def update(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield update
