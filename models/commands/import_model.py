"""`mobilenet-gateway models import`: adopt a classifier from elsewhere."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands import tables
from models.commands.terminal import JsonOption, StoreOption, errors_reported, show, store_folder


def import_model(
    file: Annotated[Path, typer.Argument(help="ONNX, or weights of a MobileNet.")],
    name: Annotated[str | None, typer.Option(help="Its name here; default: the file's.")] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Trained like the networks of torchvision, torchvision_v2, keras, tflite, timm or "
            "timm_v1: scaling, preprocessing and, without --labels, ImageNet's classes."
        ),
    ] = None,
    mean: Annotated[str | None, typer.Option(help="Of pixel / 255: one number, or R,G,B.")] = None,
    std: Annotated[str | None, typer.Option(help="Of pixel / 255: one number, or R,G,B.")] = None,
    resize: Annotated[str | None, typer.Option(help="shortest_edge or central_crop.")] = None,
    crop_fraction: Annotated[float | None, typer.Option(help="As 0.875.")] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="nearest, bilinear, bicubic or lanczos.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="File with a name a line, or JSON; or `imagenet`.")
    ] = None,
    background: Annotated[
        bool | None,
        typer.Option("--background/--no-background", help="Class 0 is a background: leave it out."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="nchw or nhwc, if the file is unclear.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side it was trained at, if the file does not say.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="The output with the scores, if there are several.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where it is from, for the card.")] = None,
    licence: Annotated[str | None, typer.Option(help="Its licence, for the card.")] = None,
    store: StoreOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look; write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Adopt a classifier from elsewhere: any ONNX file, or the weights of a MobileNet of your own.

    ONNX is from torch.onnx, tf2onnx, the ONNX model zoo, quantised or not, and is compared with
    the original before it is written. Weights are .pth and .safetensors (torchvision, timm), .h5
    and .keras, .tflite. What the file tells is detected and shown; what it cannot tell has to be
    said.
    """
    from models.export.export import write_model
    from models.importing.identify import kind_of
    from models.importing.import_onnx import adopt
    from models.importing.import_weights import adopt_checkpoint
    from models.importing.options import Choices

    folder = store_folder(store)
    with errors_reported(ValueError, OSError):
        choices = Choices(
            like=like,
            mean=_numbers("mean", mean),
            std=_numbers("std", std),
            resize=resize,
            crop_fraction=crop_fraction,
            interpolation=interpolation,
            labels=labels,
            background=background,
            layout=layout,
            resolution=resolution,
            output=output,
        )
        if kind := kind_of(file):
            adoption = adopt_checkpoint(file, kind, choices, name, source, licence)
        else:
            adoption = adopt(file, choices, name, source, licence)
        path = folder / f"{adoption.card.name}.onnx"
        if path.exists() and not (force or dry_run):
            raise ValueError(f"{path} is there already: give another --name, or --force")
        if not dry_run:
            write_model(adoption.model, path)
    data = {
        "file": None if dry_run else str(path),
        "findings": [asdict(finding) for finding in adoption.findings],
        "card": adoption.card.model_dump(mode="json", exclude={"labels": True, "cost": {"layers"}}),
    }
    show(data, lambda: tables.findings_table(adoption.card.name, adoption.findings), as_json)
    if not dry_run:
        size_mb = path.stat().st_size / 1e6
        Console(stderr=True).print(f"{path} ({size_mb:.1f} MB)", soft_wrap=True)


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers between commas.

    Raises:
        ValueError: one of them is not a number.
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--{option} is {text!r}: it takes one number, or three as R,G,B"
        ) from None
