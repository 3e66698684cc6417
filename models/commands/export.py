"""`mobilenet-gateway models export`."""

from typing import Annotated

import typer
from rich.console import Console

from app.card.card import Origin
from models.commands import terminal


def export_untrained(
    family: terminal.FamilyOption = "mobilenet_v2",
    alpha: terminal.AlphaOption = 1.0,
    resolution: Annotated[int, typer.Option(help="Resolution, a multiple of 32.")] = 224,
    store: terminal.StoreOption = None,
) -> None:
    """Export a model of any width and resolution with random weights.

    Use it to study cost and latency. The card says "untrained", and the service rejects the model
    unless GATEWAY_ALLOW_UNTRAINED is set.
    """
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
