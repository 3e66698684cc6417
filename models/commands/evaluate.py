"""`mobilenet-gateway models evaluate`."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.text import Text

from app.card.card import Measurement
from app.images.limits import ImageLimits
from app.settings_sources import load_settings
from app.system.atomic_file import os_errors_with_path
from models.commands import terminal
from models.commands.named_model import model_in_store
from models.commands.tables import millions, plain_table
from models.files.plot_file import check_plot

if TYPE_CHECKING:
    from models.evaluation.evaluate import Condition, EvaluationRow

MAX_LISTED = 5
# Columns of the table only if their values differ between rows.
VARYING = ("model", "resolution", "decode", "preprocessing")


def evaluate(
    names: Annotated[list[str], typer.Argument(help="Models of the store.")],
    photos: Annotated[
        Path,
        typer.Argument(
            help="Folder with one folder per class (synset, index or name), or a CSV with the "
            "columns file and label."
        ),
    ],
    resolution: Annotated[
        str, typer.Option(help="Resolutions, as in 128,160,224. [default: the trained one]")
    ] = "",
    decode: Annotated[
        str,
        typer.Option(help="JPEG decoding: reduced (as in service), full, or both: full,reduced."),
    ] = "reduced",
    preprocessing: Annotated[
        str,
        typer.Option(
            help="own (the model's), or RESIZE[:INTERPOLATION[:CROP_FRACTION]]; separate several "
            "by commas."
        ),
    ] = "own",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the rows into this CSV file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a plot into this .png, .svg or .pdf file.")
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Store the accuracy in the model cards, where auto reads it."),
    ] = False,
    store: terminal.StoreOption = None,
    as_json: terminal.JsonOption = False,
) -> None:
    """Measure accuracy and speed of models on labelled photos.

    Evaluates every combination of models, resolutions, decodings and preprocessings.
    """
    from app.images import pillow_settings
    from models.evaluation import evaluate as evaluation
    from models.evaluation.card_accuracy import check_writable
    from models.photos.labelled import read_labelled

    pillow_settings.configure()
    folder, limits = terminal.store_folder(store), ImageLimits.from_settings(load_settings())
    paths = [model_in_store(folder, name) for name in names]
    with terminal.errors_reported(ValueError, OSError), terminal.progress_bars() as progress:
        _check_files(csv_file, plot)
        resolutions = [_resolution(text) for text in _parts(resolution)]
        decodes = _required_parts(decode, "decode")
        preprocessings = _required_parts(preprocessing, "preprocessing")
        if write:
            check_writable(paths, decodes, preprocessings)
        every = list(evaluation.conditions(paths, resolutions, decodes, preprocessings))
        labels = {each.path: each.model.card.labels for each in every}
        labelled = {path: read_labelled(photos, names) for path, names in labels.items()}
        found = [evaluation.evaluate(each, labelled[each.path], limits, progress) for each in every]
        rows = [evaluation.evaluation_row(each, found[0]) for each in found]
    terminal.print_result([asdict(one) for one in rows], lambda: evaluation_table(rows), as_json)
    _print_damaged(found[0].damaged)
    # Last, so that a full disk does not lose the printed results.
    with terminal.errors_reported(ValueError, OSError):
        _write_files(rows, csv_file, plot)
        if write:
            _write_cards(every, rows, photos.resolve().name)


def evaluation_table(rows: Sequence["EvaluationRow"]) -> Group:
    """One row per condition; values that all rows share are in the title."""
    from models.evaluation.evaluate import varying_fields

    varying = varying_fields(rows, VARYING)
    constant = [f"{name} {getattr(rows[0], name)}" for name in VARYING if name not in varying]
    table = plain_table(
        *(varying or ["model"]), "top-1 (95 %)", "top-5 (95 %)", "ECE", "agreement", "img/s",
        "decode ms", "inference ms", "MAdds",
    )  # fmt: skip
    title = Text(f"{rows[0].images} photos, {', '.join(constant)}")
    for one in rows:
        table.add_row(
            *(str(getattr(one, name)) for name in varying or ["model"]),
            f"{one.top1:.1f} ({one.top1_low:.0f}-{one.top1_high:.0f})",
            f"{one.top5:.1f} ({one.top5_low:.0f}-{one.top5_high:.0f})",
            f"{one.calibration_error:.3f}",
            "-" if one.top1_agreement is None else f"{one.top1_agreement:.1f}",
            f"{one.images_per_s:.0f}",
            f"{one.decode_ms:.2f}",
            f"{one.inference_ms:.2f}",
            millions(one.madds),
        )
    return Group(title, table)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _required_parts(text: str, option: str) -> list[str]:
    if not (parts := _parts(text)):
        raise ValueError(f"--{option} is empty.")
    return parts


def _resolution(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"--resolution is {text!r}; it must be numbers, as in 128,160,224.")
    return int(text)


def _check_files(csv_file: Path | None, plot: Path | None) -> None:
    if plot:
        check_plot(plot)
    for file in (csv_file, plot):
        if file and not file.parent.is_dir():
            raise ValueError(f"{file.parent} is not a folder.")


def _write_files(rows: Sequence["EvaluationRow"], csv_file: Path | None, plot: Path | None) -> None:
    from models.evaluation.plot import plot_accuracy

    if csv_file:
        with (
            os_errors_with_path(csv_file),
            csv_file.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, asdict(rows[0]))
            writer.writeheader()
            writer.writerows(asdict(one) for one in rows)
    if plot:
        with os_errors_with_path(plot):
            plot_accuracy(rows, plot)


def _write_cards(
    evaluated: Sequence["Condition"], rows: Sequence["EvaluationRow"], photos: str
) -> None:
    from models.evaluation.card_accuracy import write_accuracy

    measured: dict[Path, list[Measurement]] = {}
    for condition, row in zip(evaluated, rows, strict=True):
        measured.setdefault(condition.path, []).append(row.measurement(photos))
    for path, measurements in measured.items():
        write_accuracy(path, measurements)
    for one in rows:
        terminal.print_status(
            f"Card of {one.model}: top-1 {one.top1:g} % on {one.images} photos at resolution "
            f"{one.resolution}"
        )
    terminal.print_status("A running service uses the new accuracy after it reloads the store.")


def _print_damaged(damaged: dict[Path, str]) -> None:
    if not damaged:
        return
    terminal.print_status(f"{len(damaged)} photos could not be classified and are excluded:")
    for path, reason in list(damaged.items())[:MAX_LISTED]:
        terminal.print_status(f"  {path}: {reason}")
    if len(damaged) > MAX_LISTED:
        terminal.print_status(f"  and {len(damaged) - MAX_LISTED} more")
