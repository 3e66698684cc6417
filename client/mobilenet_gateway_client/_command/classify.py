"""`mobilenet-gateway classify`: a folder of images through a gateway, into a table."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mobilenet_gateway_client._command.run import Progress, Summary

INTERRUPTED = 130  # as a shell reports a process that SIGINT ended


def classify(
    folder: Annotated[
        Path, typer.Argument(help="Folder of images.", exists=True, file_okay=False, readable=True)
    ],
    output: Annotated[
        Path, typer.Option(help="File for the rows: .csv, .jsonl or .parquet.", dir_okay=False)
    ],
    url: Annotated[str, typer.Option(help="Address of the gateway.")] = "http://127.0.0.1:8000",
    model: Annotated[
        str | None, typer.Option(help="A name from /models, or auto; default: the gateway's own.")
    ] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the square to look at.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="How many classes to rank.")] = 5,
    recursive: Annotated[bool, typer.Option("--recursive", help="Folders below it too.")] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Requests at once; default: to suit the gateway."),
    ] = None,
    patience_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for a gateway that is away or busy.")
    ] = 120,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="MOBILENET_GATEWAY_API_KEY", help="Key, better given by the environment."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Classify a folder through a running gateway. Run it again to go on where it stopped."""
    from rich.console import Console

    from mobilenet_gateway_client._client import Client
    from mobilenet_gateway_client._command.run import check_output, classify_folder
    from mobilenet_gateway_client._command.run_file import Identity
    from mobilenet_gateway_client._errors import ClientError
    from mobilenet_gateway_client._retry import Retry
    from mobilenet_gateway_client._transport import without_credentials

    console = Console(stderr=True)

    def leave() -> NoReturn:
        console.show_cursor()  # which a bar hides
        os._exit(INTERRUPTED)

    try:
        check_output(output)
        retry = Retry(patience_s)
        with Client(url, api_key=api_key, retry=retry, concurrency=concurrency) as client:
            address, where = without_credentials(url), str(folder.resolve())
            # A name that is mistyped looks like a gateway that is away: say who is waited for.
            with console.status(f"asking {address}, for at most {patience_s:g} s (--patience-s)"):
                named = model or client.info().default_model
            identity = Identity(address, where, named, resolution, top_k, recursive)
            with _progress(console) as started:
                summary = classify_folder(client, identity, output, started, leave)
    except (ClientError, ValueError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or output}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    print(json.dumps(asdict(summary), indent=2) if as_json else _in_words(summary))
    if summary.stopped:
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(1)


@contextmanager
def _progress(console: "Console") -> Iterator["Callable[[Summary], Progress]"]:
    """A bar on a terminal, with images a second and the time that is left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("classifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def started(summary: "Summary") -> "Progress":
            task = bar.add_task("", total=summary.files, completed=summary.done_before, rate="")

            def progress() -> None:
                bar.advance(task)
                speed = bar.tasks[task].speed
                bar.update(task, rate=f"{speed:.0f} images/s" if speed else "")

            return progress

        yield started


def _in_words(summary: "Summary") -> str:
    parts = [f"{summary.classified} classified"]
    if summary.failed:
        parts.append(f"{summary.failed} failed")
    if summary.done_before:
        parts.append(f"{summary.done_before} done before")
    if summary.passed_over:
        parts.append(f"{summary.passed_over} other files passed over")
    text = f"{summary.files} images: {', '.join(parts)}"
    if summary.classified + summary.failed:
        text += f"; {summary.took_s:.1f} s, {summary.images_per_s:.0f} images/s"
    if summary.stopped:
        return f"{text}; stopped, run it again to go on: {summary.output}"
    return f"{text}: {summary.output}"
