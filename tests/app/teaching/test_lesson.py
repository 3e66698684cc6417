"""A lesson from embeddings to head and report."""

from pathlib import Path

import numpy as np
import pytest

from app.model.model import Model
from app.teaching.embedded_photos import EmbeddedPhotos, Skipped, TeachingError
from app.teaching.lesson import Taught, choose_form, teach
from app.teaching.near_duplicates import unit
from app.teaching.photos import labelled_photos
from app.teaching.report import FormResult


@pytest.fixture(scope="module")
def photos(folder: Path, base: Model) -> EmbeddedPhotos:
    """The photos of the folder with embeddings in three directions; copies have equal ones."""
    files = [photo for photo in labelled_photos(folder) if photo.path.suffix == ".png"]
    random = np.random.default_rng(0)
    labels = ("blue", "green", "red")
    directions = np.abs(random.normal(size=(3, base.outputs["embedding"])))
    targets = [labels.index(photo.label) for photo in files]
    embeddings = directions[targets] + 0.7 * random.normal(size=(len(files), 1280))
    names = [f"{photo.label}/{photo.path.name}" for photo in files]
    embeddings[names.index("red/copy.png")] = embeddings[names.index("red/00.png")]
    skipped = [Skipped(folder / "red" / "notes.txt", "It is no image.")]
    units = unit(embeddings.astype(np.float32))[:, np.newaxis]
    return EmbeddedPhotos(files, labels, units, skipped)


@pytest.fixture(scope="module")
def taught(photos: EmbeddedPhotos, base: Model, base_sha256: str, folder: Path) -> Taught:
    return teach(photos, base.card, base_sha256, "colours", folder)


def test_report_has_what_was_found(taught: Taught) -> None:
    report = taught.report
    assert report.labels == ("blue", "green", "red")
    assert [row.photos for row in report.classes] == [12, 12, 13]
    assert report.accuracy == 1
    assert report.interval == pytest.approx((0.9059, 1), abs=1e-4)  # Wilson's, of 37 of 37
    assert report.confusion == ((12, 0, 0), (0, 12, 0), (0, 0, 13))
    assert report.worst == ()
    assert ("red/00.png", "red/copy.png") in report.near_duplicates
    assert [(one.file, one.reason) for one in report.skipped] == [
        ("red/notes.txt", "It is no image.")
    ]


def test_head_answers_as_it_was_taught(taught: Taught, photos: EmbeddedPhotos) -> None:
    head = taught.head
    assert head.card.labels == ("blue", "green", "red", "unknown")
    probabilities = head.probabilities(photos.units[:, 0])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(37), abs=1e-5)
    assert (probabilities.argmax(axis=1) == photos.targets).all()
    opposite = head.probabilities(-photos.units[:1, 0])
    assert opposite[0].argmax() == 3
    assert opposite[0, 3] == pytest.approx(1, abs=1e-3)


def test_card_counts_what_the_head_adds(taught: Taught, base: Model, base_sha256: str) -> None:
    width, references = base.outputs["embedding"], 37
    cost, before = taught.head.card.cost, base.card.cost
    assert taught.head.card.base_sha256 == base_sha256
    assert cost.params - before.params == (3 * width + 3) - (1000 * width + 1000)
    assert cost.madds - before.madds == (3 + references - 1000) * width
    assert cost.classifier_madds == (3 + references) * width
    assert sum(row.madds for row in cost.layers) == cost.madds


def test_mislabelled_copies_are_named(
    photos: EmbeddedPhotos, base: Model, base_sha256: str, folder: Path
) -> None:
    wrong = [
        photo if photo.path.name != "copy.png" else type(photo)(photo.path, "blue")
        for photo in photos.photos
    ]
    changed = EmbeddedPhotos(wrong, photos.labels, photos.units, [])
    warnings = teach(changed, base.card, base_sha256, "colours", folder).report.warnings
    assert "These near-duplicates have different labels: red/00.png, red/copy.png." in warnings


def test_accuracy_is_unknown_where_nothing_can_be_held_out(
    photos: EmbeddedPhotos, base: Model, base_sha256: str, folder: Path
) -> None:
    kept = [at for at, target in enumerate(photos.targets) if target != 0][:13]
    kept.append(0)  # one photo of the class blue
    few = EmbeddedPhotos(
        [photos.photos[at] for at in kept], ("blue", "green", "red"), photos.units[kept], []
    )
    report = teach(few, base.card, base_sha256, "colours", folder).report
    assert report.accuracy is None
    assert report.confusion is None
    assert any("Accuracy is unknown" in warning for warning in report.warnings)
    assert any("`blue` has 1 photos" in warning for warning in report.warnings)


def test_unknown_is_no_label(
    photos: EmbeddedPhotos, base: Model, base_sha256: str, folder: Path
) -> None:
    renamed = [
        photo if photo.label != "blue" else type(photo)(photo.path, "unknown")
        for photo in photos.photos
    ]
    changed = EmbeddedPhotos(renamed, ("green", "red", "unknown"), photos.units, [])
    with pytest.raises(TeachingError, match="Call the folder `none` instead"):
        teach(changed, base.card, base_sha256, "colours", folder)


@pytest.mark.parametrize(
    ("int8", "of_float", "chosen"),
    [(0.80, 0.805, "int8"), (0.80, 0.82, "float"), (0.9, 0.8, "int8"), (None, None, "float")],
)
def test_int8_serves_where_it_loses_less_than_a_point(
    taught: Taught, int8: float | None, of_float: float | None, chosen: str
) -> None:
    forms = {
        base: Taught(
            taught.head,
            taught.report.model_copy(
                update={
                    "accuracy": accuracy,
                    "base": base,
                    "forms": (FormResult(base=base, accuracy=accuracy),),
                }
            ),
        )
        for base, accuracy in (("int8", int8), ("float", of_float))
    }
    found = choose_form(forms["int8"], forms["float"]).report
    assert found.base == chosen
    assert found.forms[0] == FormResult(base=chosen, accuracy=found.accuracy)
    assert len(found.forms) == 2
