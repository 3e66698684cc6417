"""Models that a test makes in a moment: the real graphs and cards around random weights."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
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
    *,
    variant: str | None = None,
    seed: int = 0,
) -> Path:
    """Write a small model into a folder, whole or not at all; return its path."""
    name, data = _exported(family, alpha, resolution, kind, variant, seed)
    folder.mkdir(parents=True, exist_ok=True)
    making = folder / f".{name}.making"
    making.write_bytes(data)
    return making.replace(folder / name)


@lru_cache(maxsize=16)  # most tests ask for the same few
def _exported(
    family: Family,
    alpha: float,
    resolution: int,
    kind: Literal["published", "untrained"],
    variant: str | None,
    seed: int,
) -> tuple[str, bytes]:
    """Name and bytes of the file."""
    recipe = replace(random_recipe(family, alpha, resolution, kind), variant=variant)
    with TemporaryDirectory() as folder:
        path = export(recipe, untrained(recipe.network(), seed), "fp32", Path(folder))
        return path.name, path.read_bytes()
