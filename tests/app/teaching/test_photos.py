from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.images.decode import load_image
from app.images.limits import ImageLimits
from app.model.model import Model
from app.settings import Settings
from app.teaching.embedded_photos import MAX_LABEL_LETTERS, TeachingError
from app.teaching.photos import PhotoReader, embed, labelled_photos
from tests.app.teaching.conftest import write_photo


def test_labels_are_the_names_of_the_subfolders(folder: Path) -> None:
    photos = labelled_photos(folder)
    assert {photo.label for photo in photos} == {"blue", "green", "red"}
    assert sum(photo.label == "red" for photo in photos) == 14
    assert not any(photo.path.name.startswith(".") for photo in photos)


def test_first_view_is_what_the_model_sees_and_all_have_length_1(folder: Path, base: Model) -> None:
    photos = [photo for photo in labelled_photos(folder) if photo.path.name == "03.png"]
    with PhotoReader.open(Settings()) as reader:
        [found] = embed(photos, [base], reader, 4, 2**20)
    assert found.units.shape == (3, 4, base.outputs["embedding"])
    assert np.linalg.norm(found.units, axis=2) == pytest.approx(np.ones((3, 4)), abs=1e-5)
    rule = base.card.preprocessing
    pixels = load_image(photos[0].path.read_bytes(), 96, rule, ImageLimits())
    embedding = base.embedding(pixels[np.newaxis])[0]
    assert found.units[0, 0] == pytest.approx(embedding / np.linalg.norm(embedding), abs=1e-5)
    mirrored = base.embedding(np.ascontiguousarray(pixels[np.newaxis, :, ::-1]))[0]
    assert found.units[0, 1] == pytest.approx(mirrored / np.linalg.norm(mirrored), abs=1e-5)


def test_files_that_cannot_be_read_are_skipped_by_name(tmp_path: Path, base: Model) -> None:
    for label in ("a", "b"):
        write_photo(tmp_path / label / "good.png", (10, 200, 30), seed=1)
    (tmp_path / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing follows")
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "b" / "large.png").write_bytes(bytes(2**20 + 1))
    # Decoded by the helper process, as a service does it.
    Image.new("RGB", (64, 64), (1, 2, 3)).save(tmp_path / "b" / "scan.tif")
    seen = []
    with PhotoReader.open(Settings()) as reader:
        photos = labelled_photos(tmp_path)
        [found] = embed(photos, [base], reader, 1, 2**20, lambda: seen.append(1))
    assert [photo.path.name for photo in found.photos] == ["good.png", "good.png", "scan.tif"]
    reasons = {one.path.name: one.reason for one in found.skipped}
    assert reasons.keys() == {"broken.jpg", "empty.jpg", "large.png"}
    assert reasons["large.png"] == "It has more than 1048576 bytes."
    assert len(seen) == 6


def test_one_readable_class_is_too_few(tmp_path: Path, base: Model) -> None:
    write_photo(tmp_path / "a" / "good.png", (1, 2, 3), seed=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "text.jpg").write_text("no photo")
    with PhotoReader.open(Settings()) as reader, pytest.raises(TeachingError) as error:
        embed(labelled_photos(tmp_path), [base], reader, 1, 2**20)
    assert "1 classes could be read; at least 2 are needed" in str(error.value)
    assert "text.jpg" in str(error.value)


def test_one_subfolder_is_too_few(tmp_path: Path) -> None:
    write_photo(tmp_path / "a" / "good.png", (1, 2, 3), seed=1)
    with pytest.raises(TeachingError, match="1 subfolders with photos; at least 2"):
        labelled_photos(tmp_path)
    with pytest.raises(TeachingError, match="is not a folder"):
        labelled_photos(tmp_path / "missing")


@pytest.mark.parametrize("label", [" ", "a\x1b[31m", "x" * (MAX_LABEL_LETTERS + 1)])
def test_a_label_has_to_be_printable_and_short(tmp_path: Path, label: str) -> None:
    for name in (label, "other"):
        write_photo(tmp_path / name / "1.png", (1, 2, 3), seed=1)
    with pytest.raises(TeachingError, match="cannot be a label"):
        labelled_photos(tmp_path)


def test_int8_embeds_the_first_view_and_float_the_others(folder: Path, base: Model) -> None:
    photos = [photo for photo in labelled_photos(folder) if photo.path.name < "03"]
    card = base.card.model_copy(update={"precision": "int8"})
    int8 = Model(card, base.file_bytes, base.session)
    with PhotoReader.open(Settings()) as reader:
        alone, [first, others] = (
            embed(photos, models, reader, 3, 2**20) for models in ([int8], [int8, base])
        )
    assert alone[0].units.shape[1] == 3
    assert first.units.shape[1] == 1
    marked = replace(first, units=-first.units)
    mixed = marked.with_closer_views_of(others)
    assert np.array_equal(mixed.units[:, 0], -others.units[:, 0])
    assert np.array_equal(mixed.units[:, 1:], others.units[:, 1:])
    fewer = replace(others, photos=others.photos[1:], units=others.units[1:])
    assert marked.with_closer_views_of(fewer) is marked
