"""`mobilenet-gateway predict`: classify files and folders here, without a server."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.errors import RequestError, SettingError
from app.images.limits import ImageLimits
from app.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from app.inference.classify import Classifier
    from app.inference.results import ImageResult
    from app.model.model import Model


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
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Include the subfolders of folders.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Classify files, and the images of folders, here, without a server."""
    settings = load_settings({"store": store} if store else {})
    # Imported here, as `serve` does not need Rich and `--help` needs neither Rich nor NumPy.
    from rich.console import Console
    from rich.progress import track

    from app.commands import console
    from app.commands.image_files import image_files
    from app.commands.local_model import local_store
    from app.images import pillow_settings
    from app.images.helper_process import HelperLimits, HelperProcess
    from app.inference.classify import Classifier

    pillow_settings.configure()
    models = local_store(settings, model)
    loaded = models.get()
    side = loaded.check_resolution(resolution)
    limits = ImageLimits.from_settings(settings)
    helper = HelperProcess(
        limits,
        HelperLimits(
            settings.helper_cpu_s, settings.helper_memory_bytes, file_bytes=settings.max_body_bytes
        ),
    )
    classifier = Classifier(limits, settings.reduced_decode, helper=helper)
    run: Callable[..., ImageResult] = classifier.classify
    if explain is not None:
        run = _explaining(classifier, loaded, models.path(loaded.name), explain)
    classify = partial(_classify, partial(run, model=loaded, resolution=side, top_k=top_k))
    stderr = Console(stderr=True)
    quiet = not stderr.is_terminal
    images = image_files(files, recursive=recursive)
    tracked = track(images, "classifying", console=stderr, transient=True, disable=quiet)
    try:
        answers = [_answer(file, settings.max_body_bytes, classify) for file in tracked]
    finally:
        helper.stop()
    if explain is not None:
        _write_overlays(answers, explain)
    if as_json:
        print(json.dumps({"model": loaded.name, "resolution": side, "results": answers}, indent=2))
    else:
        console.show(_table(answers, f"{loaded.name} at {side}"))
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def _classify(classify: Callable[..., "ImageResult"], data: bytes) -> "ImageResult":
    """Classify a file as a service does: what is not bounded is decoded in the helper process."""
    from app.inference.helper_queue import Deferred

    try:
        return classify(data)
    except Deferred as deferred:
        prepare = deferred.prepare
    return classify(data, decoded=prepare(lambda: False))


def _explaining(
    classifier: "Classifier", model: "Model", path: Path, folder: Path
) -> Callable[..., "ImageResult"]:
    from app.explain.explained import explaining
    from app.explain.linear_heads import LinearHeads
    from app.explain.query import ExtraQuery

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"--explain: {folder}: {error.strerror}.") from error
    query = ExtraQuery(explain="cam", overlay=True)
    return explaining(classifier, LinearHeads(), model, path, query)


def _write_overlays(answers: list[dict[str, Any]], folder: Path) -> None:
    """Write the overlays of the answers to files, whose names replace them."""
    written: set[Path] = set()
    for answer in answers:
        explanation = answer.get("explanation", {})
        if "overlay" in explanation:
            name = Path(answer["file"]).name
            path = folder / f"{name}.png"
            for number in count(2):
                if path not in written:
                    break
                path = folder / f"{name}-{number}.png"
            written.add(path)
            path.write_bytes(b64decode(explanation["overlay"].partition(",")[2]))
            explanation["overlay"] = str(path)


def _answer(
    file: Path, limit_bytes: int, classify: Callable[[bytes], "ImageResult"]
) -> dict[str, Any]:
    """The JSON of a file: its result or its error."""
    answer: dict[str, Any] = {"file": str(file)}
    try:
        result: dict[str, Any] = json.loads(classify(_read(file, limit_bytes)).to_json())
        return answer | result
    except RequestError as error:
        return answer | {"error": error.detail}
    except OSError as error:
        return answer | {"error": error.strerror or str(error)}


def _read(file: Path, limit_bytes: int) -> bytes:
    """Read a file, within the limit of a service."""
    status = file.stat()
    if S_ISDIR(status.st_mode):
        raise OSError("The folder has no images. Include its subfolders with --recursive.")
    if S_ISREG(status.st_mode) and status.st_size > limit_bytes:
        raise OSError(f"The file has {status.st_size} bytes; max_body_bytes is {limit_bytes}.")
    if not S_ISREG(status.st_mode):
        raise OSError("This is not a file. Pipes and devices are not supported.")
    return file.read_bytes()


def _table(answers: list[dict[str, Any]], title: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD)
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
