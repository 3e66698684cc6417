"""Models that a test makes in a moment: the real graphs and cards around random weights."""

from pathlib import Path
from typing import Literal

from app.card.card import Accuracy, Family, Origin
from models.export.export import Recipe, export, untrained
from models.zoo.imagenet import imagenet_labels
from models.zoo.zoo import formats


def random_recipe(
    family: Family,
    alpha: float,
    resolution: int,
    kind: Literal["published", "untrained"] = "published",
) -> Recipe:
    """What the zoo says of such a model, but for the weights' origin."""
    form = formats()["tflite_float" if family == "mobilenet_v1" else "torchvision"]
    accuracy = Accuracy(top1=50.5, top5=None, source="a test") if kind == "published" else None
    return Recipe(
        family=family,
        alpha=alpha,
        resolution=resolution,
        variant=None,
        padding=form.padding,
        scaling=form.scaling,
        preprocessing=form.preprocessing,
        background=family == "mobilenet_v1",
        accuracy=accuracy,
        origin=Origin(kind=kind, source="random weights", files=(), licence=None),
        labels=imagenet_labels(),
    )


def export_random(
    folder: Path,
    family: Family = "mobilenet_v2",
    alpha: float = 0.35,
    resolution: int = 96,
    kind: Literal["published", "untrained"] = "published",
) -> Path:
    """Write a small model into a folder; return its path."""
    recipe = random_recipe(family, alpha, resolution, kind)
    return export(recipe, untrained(recipe.network()), "fp32", folder)
