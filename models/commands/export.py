"""`mobilenet-gateway models export`: a taught head as one file, or random weights."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.card.card import Origin
from models.commands import terminal


def export_model(
    head: Annotated[
        str | None, typer.Argument(help="A taught head of the store.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the file of a head.")] = Path(),
    family: terminal.FamilyOption = "mobilenet_v2",
    alpha: terminal.AlphaOption = 1.0,
    resolution: Annotated[int, typer.Option(help="Resolution, a multiple of 32.")] = 224,
    store: terminal.StoreOption = None,
) -> None:
    """Export a taught head with its base as one ONNX file, or a model with random weights.

    With the name of a head, write NAME.onnx, which runs anywhere without its base. Without one,
    write a model of any width and resolution with random weights into the store, to study cost and
    latency: its card says "untrained", and the service rejects it unless GATEWAY_ALLOW_UNTRAINED is
    set.
    """
    if head is not None:
        _export_head(head, output, terminal.store_folder(store))
        return
    from models.export.export import Recipe, check_size, export, untrained
    from models.network.design import check_family
    from models.zoo.imagenet import imagenet_labels
    from models.zoo.zoo import formats

    kind = formats()["tflite_float" if family == "mobilenet_v1" else "torchvision"]
    with terminal.errors_reported(ValueError, OverflowError, OSError):
        recipe = Recipe(
            family=check_family(family),
            alpha=alpha,
            resolution=resolution,
            variant="untrained",
            padding=kind.padding,
            scaling=kind.scaling,
            preprocessing=kind.preprocessing,
            background=False,
            accuracy=None,
            origin=Origin(kind="untrained", source="random weights", files=(), licence=None),
            labels=imagenet_labels(),
        )
        check_size(recipe, "fp32")
        with Console(stderr=True).status("writing random weights"):
            path = export(recipe, untrained(recipe.network()), "fp32", terminal.store_folder(store))
    terminal.print_status(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def _export_head(name: str, output: Path, store: Path) -> None:
    from app.heads.head_file import SUFFIX, read_head
    from app.model.files import file_stem, find_files, is_head
    from app.model.head_model import BaseFiles, find_base
    from models.export.standalone_head import export_head

    with terminal.errors_reported(ValueError, OSError):
        bases = {file_stem(path): path for path in find_files(store) if not is_head(path)}
        head, _ = read_head(store / f"{name}{SUFFIX}")
        output.mkdir(parents=True, exist_ok=True)
        path = export_head(head, bases[find_base(head, bases, BaseFiles())], output)
    terminal.print_status(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
