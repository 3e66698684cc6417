"""`mobilenet-gateway teach`: learn classes of one's own from a folder of photos."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from app.card.card import NAME
from app.errors import SettingError
from app.settings import Settings
from app.settings_sources import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.teaching.lesson import Taught
    from app.teaching.report import TeachingReport


def teach(
    folder: Annotated[
        Path, typer.Argument(help="One subfolder of photos for each class.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="Name of the new model.", show_default=False)],
    base: Annotated[str | None, typer.Option(help="Model of the store to teach.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the models.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as an HTML file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a head of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Teach the classes of a folder's subfolders, and write NAME.head.npz into the store.

    A subfolder `none` with photos of other things makes a class of them. The figures are of photos
    that were held out, with near-duplicates kept together.
    """
    settings = load_settings({"store": store} if store else {})
    target = _target(settings, name, replace=force)
    # Imported here, as `serve` does not need Rich and `--help` needs neither Rich nor NumPy.
    from app.commands import console
    from app.commands.teaching_tables import render_report
    from app.heads.head_file import pack_head

    with _writing(target) as file:  # before the work, as the store may be read-only
        taught = _taught(folder, name, base, settings)
        file.write(pack_head(taught.head, taught.report.model_dump_json()))
    if report is not None:
        _write_page(report, name, taught.report, folder, settings)
    if as_json:
        print(taught.report.model_dump_json(indent=2))
        return
    console.show(render_report(taught.report))
    print(f"{target} ({target.stat().st_size / 1000:.0f} kB)")


def _target(settings: Settings, name: str, *, replace: bool) -> Path:
    """The file to write.

    Raises:
        SettingError: the name is malformed or taken.
        ModelFileError: the store is no folder with models.
    """
    from app.heads.head_file import SUFFIX
    from app.model.files import find_files
    from app.model.store_folder import AUTO

    find_files(settings.store)  # or a folder would be made for the file
    if name == AUTO:
        raise SettingError(f"The name {AUTO!r} is reserved for the automatic choice.")
    if not re.fullmatch(NAME, name):
        raise SettingError(
            f"{name!r} cannot be a model's name: up to 100 lower-case letters, digits, `.`, `_` "
            "and `-` can, with a letter or digit first."
        )
    if (settings.store / f"{name}.onnx").exists():
        raise SettingError(f"The store already has a model {name!r}. Choose another name.")
    target = settings.store / f"{name}{SUFFIX}"
    if target.exists() and not replace:
        raise SettingError(
            f"{target} exists already. Choose another name, or replace it with --force."
        )
    return target


def _taught(folder: Path, name: str, base: str | None, settings: Settings) -> "Taught":
    """Teach on the named base; by default on both forms of the default model, and compare."""
    from app.images import pillow_settings
    from app.inference.local_model import local_store
    from app.teaching.lesson import choose_form, teach, views_for
    from app.teaching.photos import PhotoReader, embed, labelled_photos

    pillow_settings.configure()
    photos = labelled_photos(folder)
    store = local_store(settings, base)
    default = store.get()
    if default.card.base_sha256 is not None:
        raise SettingError(f"{default.name} is a taught model itself. Name its base with --base.")
    models = list(store) if default.card.precision == "int8" else [default]
    with PhotoReader.open(settings) as reader, _progress(len(photos)) as on_photo:
        views = views_for(len(photos))
        embedded = embed(photos, models, reader, views, settings.max_body_bytes, on_photo)
    taught = {}
    by_form = {model.card.precision: found for model, found in zip(models, embedded, strict=True)}
    if len(models) > 1:
        by_form["int8"] = by_form["int8"].with_closer_views_of(by_form["fp32"])
    for model in models:
        with store.path(model.name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        photos_by_form = by_form[model.card.precision]
        taught[model.card.precision] = teach(photos_by_form, model.card, sha256, name, folder)
    if len(taught) == 1:
        return next(iter(taught.values()))
    return choose_form(taught["int8"], taught["fp32"])


def _write_page(
    path: Path, name: str, report: "TeachingReport", folder: Path, settings: Settings
) -> None:
    from app.teaching.photos import PhotoReader
    from app.teaching.report_page import report_page

    with PhotoReader.open(settings) as reader, _writing(path) as file:
        file.write(report_page(name, report, folder, reader).encode())


@contextmanager
def _writing(path: Path) -> "Iterator[IO[bytes]]":
    """As `atomic_write`, with errors that end the command in one line.

    Raises:
        SettingError: the file cannot be written, or another one not read.
    """
    from app.system.atomic_file import atomic_write

    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise SettingError(f"{error.filename or path}: {error.strerror or error}") from error


@contextmanager
def _progress(photos: int) -> "Iterator[Callable[[], None]]":
    from rich.console import Console
    from rich.progress import Progress

    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("embedding photos", total=photos)
        yield lambda: progress.update(task, advance=1)
