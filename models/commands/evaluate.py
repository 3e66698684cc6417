"""`mobilenet-gateway models evaluate`."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.text import Text

from app.settings import load_settings
from models.commands.named_model import stored_model
from models.commands.tables import millions, plain_table
from models.commands.terminal import (
    JsonOption,
    StoreOption,
    errors_reported,
    show,
    store_folder,
    task_bars,
    tell,
)
from models.files.atomic_file import os_errors_with_path

if TYPE_CHECKING:
    from models.evaluation.evaluate import Row

MOST_NAMED = 5
# Columns only where they tell rows apart.
VARIED = ("model", "resolution", "decode", "preprocessing")


def evaluate(
    names: Annotated[list[str], typer.Argument(help="Models of the store.")],
    photos: Annotated[
        Path,
        typer.Argument(help="Folder with a folder a class (synset, index or name), or a CSV."),
    ],
    resolution: Annotated[
        str, typer.Option(help="Sides to look at, as 128,160,224. [default: the trained one]")
    ] = "",
    decode: Annotated[str, typer.Option(help="full, reduced or both: full,reduced.")] = "reduced",
    preprocessing: Annotated[
        str,
        typer.Option(help="own, or RESIZE[:INTERPOLATION[:CROP_FRACTION]], several by commas."),
    ] = "own",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="File for the rows.")] = None,
    plot: Annotated[Path | None, typer.Option(help="File for a picture, as .png or .svg.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Keep the accuracy in the models' cards, for `auto`.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure accuracy and speed on labelled photos, for any models and settings at once."""
    from models.evaluation.card_accuracy import check_writable, keep_accuracy
    from models.evaluation.evaluate import conditions, row
    from models.evaluation.evaluate import evaluate as run
    from models.files.plot_file import check_plot
    from models.photos.labelled import read_labelled

    folder, options = store_folder(store), load_settings()
    paths = [stored_model(folder, name) for name in names]
    found = []
    with errors_reported(ValueError, OSError), task_bars(Console(stderr=True)) as progress:
        if plot:
            check_plot(plot)
        for file in (csv_file, plot):
            if file and not file.parent.is_dir():
                raise ValueError(f"{file.parent} is not a folder")
        sides = [_side(text) for text in _parts(resolution)]
        ways, crops = _some(decode, "decode"), _some(preprocessing, "preprocessing")
        if write:
            check_writable(paths, ways, crops)
        every = list(conditions(paths, sides, ways, crops))
        classes = {one.path: one.model.card.labels for one in every}
        labelled = {path: read_labelled(photos, labels) for path, labels in classes.items()}
        for condition in every:
            found.append(run(condition, labelled[condition.path], options.image_limits, progress))
        rows = [row(one, found[0]) for one in found]
    show([asdict(one) for one in rows], lambda: evaluation_table(rows), as_json)
    _tell_damaged(found[0].damaged)
    # last, so that a full disk does not cost what was measured
    with errors_reported(ValueError, OSError):
        _write_files(rows, csv_file, plot)
        if write:
            for path in paths:
                mine = [one for one, of in zip(rows, every, strict=True) if of.path == path]
                keep_accuracy(path, [one.measurement(photos.resolve().name) for one in mine])
            _tell_written(rows)


def evaluation_table(rows: Sequence["Row"]) -> Group:
    """A row a condition; what is the same in all of them stands above."""
    varied = [name for name in VARIED if len({getattr(one, name) for one in rows}) > 1]
    constant = [f"{name} {getattr(rows[0], name)}" for name in VARIED if name not in varied]
    table = plain_table(
        *(varied or ["model"]), "top-1 (95 %)", "top-5 (95 %)", "ECE", "as 1st", "img/s",
        "decode ms", "ms", "MAdds",
    )  # fmt: skip
    title = Text(f"{rows[0].images} photos, {', '.join(constant)}")
    for one in rows:
        same = one.same_first_class
        table.add_row(
            *(str(getattr(one, name)) for name in varied or ["model"]),
            f"{one.top1:.1f} ({one.top1_low:.0f}-{one.top1_high:.0f})",
            f"{one.top5:.1f} ({one.top5_low:.0f}-{one.top5_high:.0f})",
            f"{one.calibration_error:.3f}",
            "-" if same is None else f"{same:.1f}",
            f"{one.images_per_s:.0f}",
            f"{one.decode_ms:.2f}",
            f"{one.inference_ms:.2f}",
            millions(one.madds),
        )
    return Group(title, table)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _some(text: str, option: str) -> list[str]:
    if not (parts := _parts(text)):
        raise ValueError(f"--{option} names nothing")
    return parts


def _side(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"resolution is {text!r}; it has to be numbers, as 128,160,224")
    return int(text)


def _write_files(rows: Sequence["Row"], csv_file: Path | None, plot: Path | None) -> None:
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


def _tell_written(rows: Sequence["Row"]) -> None:
    for one in rows:
        tell(
            f"in the card of {one.model}: top-1 {one.top1:g} % of {one.images} photos at "
            f"{one.resolution} pixels"
        )
    tell("a running service takes it up when it reads the store again")


def _tell_damaged(damaged: dict[Path, str]) -> None:
    if not damaged:
        return
    tell(f"{len(damaged)} could not be classified and are left out:")
    for path, reason in list(damaged.items())[:MOST_NAMED]:
        tell(f"  {path}: {reason}")
    if len(damaged) > MOST_NAMED:
        tell(f"  and {len(damaged) - MOST_NAMED} more")
