"""`mobilenet-gateway predict`: classify files and folders here, without a server."""

import json
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.errors import GatewayError, SettingError

if TYPE_CHECKING:
    from rich.table import Table

    from app.inference.local_session import ImageFailure, LocalSession
    from app.inference.results import ImageResult

TABLE_FILES = 50


def predict(
    files: Annotated[
        list[Path], typer.Argument(help="Images, or folders of images.", show_default=False)
    ],
    model: Annotated[str | None, typer.Option(help="A model of the store.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Number of classes to return.")] = 5,
    resolution: Annotated[int | None, typer.Option(help="Resolution; default: as trained.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the .onnx files.")] = None,
    explain: Annotated[
        Path | None, typer.Option(help="Folder for images that show where the label comes from.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Images at once; default: the usable cores.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Include the subfolders of folders.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Classify files, and the images of folders, here, without a server."""
    # Imported here, as `serve` does not need Rich and `--help` needs neither Rich nor NumPy.
    from rich.console import Console
    from rich.progress import track

    from app.commands.image_files import image_files
    from app.images import pillow_settings
    from app.library import Classifier

    pillow_settings.configure()
    with Classifier(model, store=store, resolution=resolution, workers=workers) as classifier:
        session = classifier.session
        run: Callable[..., ImageResult] = session.classifier.classify
        overlays = None
        if explain is not None:
            run = _explaining(session, explain)
            overlays = OverlayFiles(explain)
        images = image_files(files, recursive=recursive)
        stderr = Console(stderr=True)
        # The rows of several tables on the terminal are progress enough.
        quiet = not stderr.is_terminal or (len(images) > TABLE_FILES and sys.stdout.isatty())
        outcomes = classifier.each(images, partial(run, top_k=top_k))
        tracked = track(
            outcomes, "classifying", len(images), console=stderr, transient=True, disable=quiet
        )
        answers = map(partial(_answer, overlays), images, tracked)
        show = _print_json if as_json else _print_tables
        failed = show(answers, session.model.name, session.resolution)
    if failed:
        raise typer.Exit(1)


def _explaining(session: "LocalSession", folder: Path) -> Callable[..., "ImageResult"]:
    from app.explain.explained import explaining
    from app.explain.linear_heads import LinearHeads
    from app.explain.query import ExtraQuery

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"--explain: {folder}: {error.strerror}.") from error
    query = ExtraQuery(explain="cam", overlay=True)
    return explaining(session.classifier, LinearHeads(), session.model, session.path, query)


class OverlayFiles:
    """The folder of overlays, one file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()

    def write(self, answer: dict[str, Any]) -> None:
        """Write the overlay of an answer to a file, whose name replaces it."""
        explanation = answer.get("explanation", {})
        if "overlay" not in explanation:
            return
        name = Path(answer["file"]).name
        path = self._folder / f"{name}.png"
        for number in count(2):
            if path not in self._written:
                break
            path = self._folder / f"{name}-{number}.png"
        self._written.add(path)
        path.write_bytes(b64decode(explanation["overlay"].partition(",")[2]))
        explanation["overlay"] = str(path)


def _answer(
    overlays: OverlayFiles | None, file: Path, outcome: "ImageResult | ImageFailure"
) -> dict[str, Any]:
    """The JSON of a file: its result or its error."""
    answer: dict[str, Any] = {"file": str(file)}
    if isinstance(outcome, GatewayError):
        detail = outcome.detail.removeprefix(f"{file}: ")
        if file.is_dir():
            detail = "The folder has no images. Include its subfolders with --recursive."
        return answer | {"error": detail}
    answer |= json.loads(outcome.to_json())
    if overlays is not None:
        overlays.write(answer)
    return answer


def _print_json(answers: Iterator[dict[str, Any]], model: str, resolution: int) -> bool:
    """Print the answers as they come; returns whether one is an error."""
    failed = False
    head = json.dumps({"model": model, "resolution": resolution}, indent=2)
    print(f'{head.removesuffix("}").rstrip()},\n  "results": [', end="")
    for number, answer in enumerate(answers):
        failed |= "error" in answer
        text = indent(json.dumps(answer, indent=2), "    ")
        print("," if number else "", text, sep="\n", end="", flush=True)
    print("\n  ]\n}")
    return failed


def _print_tables(answers: Iterator[dict[str, Any]], model: str, resolution: int) -> bool:
    """Print a table for every so many files; returns whether one of them has an error."""
    from app.commands import console

    failed, title = False, f"{model} at {resolution}"
    while group := list(islice(answers, TABLE_FILES)):
        failed |= any("error" in answer for answer in group)
        console.show(_table(group, title))
        title = ""
    return failed


def _table(answers: list[dict[str, Any]], title: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, box=box.SIMPLE_HEAD)
    for heading in ("file", "label", "probability", "decode", "inference"):
        table.add_column(heading, no_wrap=True)
    for answer in answers:
        for row in _rows(answer):
            table.add_row(*row)
        table.add_section()
    return table


def _rows(answer: dict[str, Any]) -> Iterator[list[Any]]:
    from rich.text import Text

    from app.commands.console import printable

    file = printable(Path(answer["file"]).name)
    if "error" in answer:
        yield [file, Text(printable(answer["error"]), "red")]
        return
    times = [f"{answer[key]:.1f} ms" for key in ("decode_ms", "inference_ms")]
    for prediction in answer["predictions"]:
        yield [file, printable(prediction["label"]), f"{prediction['probability']:.3f}", *times]
        file, times = "", []
