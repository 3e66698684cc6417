"""`mobilenet-gateway models quantize`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from app.errors import CardError
from app.settings import load_settings
from models.commands.named_model import stored_model
from models.commands.tables import plain_table
from models.commands.terminal import (
    CommandError,
    JsonOption,
    StoreOption,
    errors_reported,
    show,
    store_folder,
    task_bars,
)

# INT8 pays if it takes at most this share of the float model's time.
PAYS_BELOW = 0.95


def quantize(
    name: Annotated[str, typer.Argument(help="A float model of the store.")],
    calibration: Annotated[
        Path, typer.Option(help="Folder of photos like those that will be classified.")
    ],
    holdout: Annotated[
        Path | None, typer.Option(help="Folder of other photos, for the figures in the card.")
    ] = None,
    images: Annotated[
        int,
        typer.Option(min=8, help="Views to calibrate and to compare on; 22 of a photo at most."),
    ] = 256,
    method: Annotated[str | None, typer.Option(help="Method to use, whatever is measured.")] = None,
    new_name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the INT8 model. [default: NAME_ptq]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a float model into INT8 by photos, choose how by measurement, compare both."""
    from models.quantization.methods import LADDER
    from models.quantization.quantize import as_data
    from models.quantization.quantize import quantize as run

    folder, settings = store_folder(store), load_settings()
    path = stored_model(folder, name)
    methods = {rung.name: rung for rung in LADDER}
    if method is not None and method not in methods:
        raise CommandError(f"no method {method!r}; there are: {', '.join(methods)}")
    with (
        errors_reported(ValueError, CardError, OSError),
        task_bars(Console(stderr=True)) as progress,
    ):
        done = run(
            path,
            folder,
            calibration=calibration,
            holdout=holdout,
            images=images,
            method=methods[method] if method else None,
            name=new_name,
            force=force,
            limits=settings.image_limits,
            progress=progress,
        )
    data = as_data(done)
    data["float_file_bytes"] = path.stat().st_size
    show(data, lambda: _report(data), as_json)


def _report(data: dict[str, Any]) -> Group:
    ladder = plain_table("method", "same first class", "difference", "divergence", "")
    for rung in data["ladder"]:
        ladder.add_row(
            rung["method"],
            f"{rung['same_first_class']:.1f} %",
            f"{rung['probability_difference']:.4f}",
            f"{rung['divergence']:.4f}",
            "<- chosen" if rung["method"] == data["method"] else "",
        )
    views = data["ladder"][0]["compared_images"]
    heading = Text(f"Beside float on {views} views of photos that chose and did not calibrate:")
    return Group(heading, ladder, "", _facts(data), "", Text(verdict(data)))


def _facts(data: dict[str, Any]) -> Table:
    facts = plain_table("", "float", "int8")
    facts.add_row("one image on one core", *(f"{data[key]:.2f} ms" for key in _TIMES))
    facts.add_row("file", *(f"{data[key] / 1e6:.1f} MB" for key in _SIZES))
    return facts


_TIMES = ("float_ms", "int8_ms")
_SIZES = ("float_file_bytes", "file_bytes")


def verdict(data: dict[str, Any]) -> str:
    """Whether INT8 pays here, in words."""
    kept = ", ".join(data["float_layers"])
    same = (
        f"{data['file']}: the float model's first class on {data['same_first_class']:g} % of "
        f"{data['compared_images']} views of photos that it was not calibrated on"
        f"{f', with {kept} left in float' if kept else ''}."
    )
    ratio = data["float_ms"] / data["int8_ms"]
    if data["int8_ms"] <= PAYS_BELOW * data["float_ms"]:
        return f"{same}\nINT8 is {ratio:.1f} times as fast as float here: {data['device']}."
    reason = (
        ": without VNNI instructions, exact int8 products are slow"
        if "without VNNI" in data["device"]
        else ""
    )
    return (
        f"{same}\nINT8 does not pay here: it takes {1 / ratio:.1f} times as long as float on "
        f"{data['device']}{reason}. It still makes the file smaller; serve the float model."
    )
