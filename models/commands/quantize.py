"""`mobilenet-gateway models quantize`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from app.errors import CardError
from app.images.limits import ImageLimits
from app.settings_sources import load_settings
from models.commands import terminal
from models.commands.named_model import model_in_store
from models.commands.tables import megabytes, plain_table

# INT8 is worth it if it takes at most this share of the float model's time.
WORTH_IT_BELOW = 0.95


def quantize(
    name: Annotated[str, typer.Argument(help="Float model of the store.")],
    calibration: Annotated[
        Path, typer.Option(help="Folder of photos like those to classify in service.")
    ],
    holdout: Annotated[
        Path | None, typer.Option(help="Folder of other photos, for the report in the card.")
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            min=8,
            help="Number of images to calibrate on and to compare on; a photo gives up to 22.",
        ),
    ] = 256,
    method: Annotated[
        str | None, typer.Option(help="Use this method. [default: the one that measures best]")
    ] = None,
    new_name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of the INT8 model. [default: NAME_ptq, or NAME_own_ptq if the zoo has that]",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Write a recipe, from which `models pull` makes the same file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model.")] = False,
    store: terminal.StoreOption = None,
    as_json: terminal.JsonOption = False,
) -> None:
    """Quantize a float model to INT8, calibrated on your photos.

    Tries all methods, keeps the one that agrees best with the float model, and compares size, speed
    and top-1 agreement of both.
    """
    from app.images import pillow_settings
    from models.quantization import quantize as quantization

    pillow_settings.configure()
    folder, settings = terminal.store_folder(store), load_settings()
    path = model_in_store(folder, name)
    with (
        terminal.errors_reported(ValueError, CardError, OSError),
        terminal.progress_bars() as progress,
    ):
        data = quantization.quantize(
            path,
            folder,
            calibration=calibration,
            holdout=holdout,
            images=images,
            method=method,
            name=new_name,
            recipe=recipe,
            force=force,
            limits=ImageLimits.from_settings(settings),
            progress=progress,
        )
    data["float_file_bytes"] = path.stat().st_size
    terminal.print_result(data, lambda: _report(data), as_json)


def _report(data: dict[str, Any]) -> Group:
    trials = plain_table("method", "top-1 agreement", "difference", "divergence", "")
    for trial in data["ladder"]:
        trials.add_row(
            trial["method"],
            f"{trial['top1_agreement']:.1f} %",
            f"{trial['probability_difference']:.4f}",
            f"{trial['divergence']:.4f}",
            "<- chosen" if trial["method"] == data["method"] else "",
        )
    images = data["ladder"][0]["compared_images"]
    heading = Text(f"Compared with the float model on {images} images that did not calibrate:")
    times = (f"{data[key]:.2f} ms" for key in ("float_ms", "int8_ms"))
    sizes = (megabytes(data[key]) for key in ("float_file_bytes", "file_bytes"))
    rows = [("one image on one core", *times), ("file", *sizes)]
    comparison = plain_table("", "float", "int8", rows=rows)
    return Group(heading, trials, "", comparison, "", Text(verdict(data)))


def verdict(data: dict[str, Any]) -> str:
    """Sentences on the agreement and on whether INT8 is faster here."""
    agreement = (
        f"{data['file']}: {data['top1_agreement']:g} % top-1 agreement with the float model on "
        f"{data['compared_images']} images that did not calibrate."
    )
    ratio = data["float_ms"] / data["int8_ms"]
    if data["int8_ms"] <= WORTH_IT_BELOW * data["float_ms"]:
        return f"{agreement}\nINT8 is {ratio:.1f} times as fast as float here: {data['device']}."
    reason = (
        ", because exact int8 products are slow without VNNI instructions"
        if "without VNNI" in data["device"]
        else ""
    )
    return (
        f"{agreement}\nINT8 is not worth it here: it takes {1 / ratio:.1f} times as long as float "
        f"on {data['device']}{reason}. The file is smaller, but serve the float model."
    )
