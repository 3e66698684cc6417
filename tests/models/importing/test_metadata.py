"""What the metadata of a TFLite file say is used: names of the classes, and the scaling."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models.checkpoints.tflite.metadata import read_metadata
from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from models.importing.report import Adoption
from tests.models.importing.exported import run as answers_of
from tests.models.translation.tflite import operator_files
from tests.models.translation.tflite.operator_files import CASES, PIXELS, SIDE, Builder, encode
from tests.models.translation.tflite.record_answers import FILE, key

# Written by tflite-support 0.4.4 (ModelMetadataT.Pack): normalization, and the file of the labels.
# mean 127.5, std 127.5, labels.txt
PLAIN = base64.b64decode(
    b"FAAAAE0wMDEMAAwACAAAAAAABAAMAAAACAAAAAgBAAABAAAAEAAAAAwADAAAAAAACAAEAAwAAAAIAAAAeAAAAAEA"
    b"AAAYAAAAAAASAAwACAAAAAAAAAAAAAAABAASAAAACAAAAEAAAAABAAAAEAAAAAAACgAQAAwACAAHAAoAAAAAAAAC"
    b"CAAAAAwAAAABAAAAZAAAAAoAAABsYWJlbHMudHh0AAALAAAAcHJvYmFiaWxpdHkAAQAAABQAAAAAAA4ADAAIAAAA"
    b"AAAAAAQADgAAAAgAAABEAAAAAQAAAAwAAAAIAAwACwAEAAgAAAAQAAAAAAAAAQgADAAIAAQACAAAAAgAAAAMAAAA"
    b"AQAAAAAA/0IBAAAAAAD/QgUAAABpbWFnZQAAAAEAAAB4AAAA"
)
# mean (123.675, 116.28, 103.53), std (58.395, 57.12, 57.375), probability-labels.txt
IMAGENET = base64.b64decode(
    b"FAAAAE0wMDEMAAwACAAAAAAABAAMAAAACAAAACQBAAABAAAAEAAAAAwADAAAAAAACAAEAAwAAAAIAAAAhAAAAAEA"
    b"AAAYAAAAAAASAAwACAAAAAAAAAAAAAAABAASAAAACAAAAEwAAAABAAAAEAAAAAAACgAQAAwACAAHAAoAAAAAAAAC"
    b"CAAAAAwAAAABAAAAZAAAABYAAABwcm9iYWJpbGl0eS1sYWJlbHMudHh0AAALAAAAcHJvYmFiaWxpdHkAAQAAABQA"
    b"AAAAAA4ADAAIAAAAAAAAAAQADgAAAAgAAABUAAAAAQAAAAwAAAAIAAwACwAEAAgAAAAQAAAAAAAAAQgADAAIAAQA"
    b"CAAAAAgAAAAUAAAAAwAAAHuUaULhemRCAIBlQgMAAACaWfdCXI/oQlwPz0IFAAAAaW1hZ2UAAAABAAAAeAAAAA=="
)
NAMES = "cat\ndog\nbird\nfish\n"


def saved(
    folder: Path,
    metadata: bytes | None,
    files: dict[str, str],
    precision: str = "float32",
    case: str = "softmax",
) -> Path:
    """A classifier of four classes with metadata and a zip behind it."""
    builder = Builder(precision)
    file = builder.done(CASES[case](builder))
    file.metadata = metadata
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    path = folder / "own.tflite"
    path.write_bytes(file.encode() + (packed.getvalue() if files else b""))
    return path


def known_by(adoption: Adoption) -> dict[str, tuple[str, str]]:
    return {one.what: (one.value, one.known_by) for one in adoption.findings}


def test_a_file_with_metadata_needs_no_option(tmp_path: Path) -> None:
    path = saved(tmp_path, PLAIN, {"labels.txt": NAMES})
    adoption = adopt_file(path, Choices())
    found = known_by(adoption)
    assert adoption.card.labels == ("cat", "dog", "bird", "fish")
    assert found["labels"][1] == "labels.txt in the file"
    assert found["scaling"] == ("(pixel / 255 - 0.5) / 0.5", "the file's metadata")
    assert found["preprocessing"][1] == "usual for TFLite"
    with np.load(FILE) as recorded:
        expected = recorded[key("softmax", "float32")]
    probabilities, _ = answers_of(adoption.model, PIXELS)
    assert abs(probabilities - expected).max() < 1e-6


def test_numbers_for_each_channel_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path, IMAGENET, {"probability-labels.txt": NAMES, "other.txt": "x"})
    found = known_by(adopt_file(path, Choices()))
    assert found["scaling"][0] == "(pixel / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)"
    assert found["labels"][1] == "probability-labels.txt in the file"


def test_what_is_said_goes_before_the_metadata(tmp_path: Path) -> None:
    path = saved(tmp_path, PLAIN, {"labels.txt": "not enough\n"})
    labels = tmp_path / "mine.txt"
    labels.write_text("a\nb\nc\nd\n")
    adoption = adopt_file(path, Choices(labels=str(labels), mean=(0.0,), std=(1.0,)))
    found = known_by(adoption)
    assert adoption.card.labels == ("a", "b", "c", "d")
    assert (found["labels"][1], found["scaling"][1]) == ("--labels", "--mean, --std")


def test_labels_without_metadata_are_found_by_their_name(tmp_path: Path) -> None:
    path = saved(tmp_path, None, {"labelmap.txt": NAMES}, "int8")
    assert adopt_file(path, Choices()).card.labels == ("cat", "dog", "bird", "fish")
    path = saved(tmp_path, None, {"labels_en.txt": NAMES, "labels_de.txt": NAMES}, "int8")
    with pytest.raises(Refused, match="does not name its 4 classes"):
        adopt_file(path, Choices())


def test_labels_that_do_not_fit_are_rejected(tmp_path: Path) -> None:
    path = saved(tmp_path, PLAIN, {"labels.txt": "cat\ndog\n"})
    with pytest.raises(
        Refused, match=r"has 4 classes, labels\.txt in the file has 2 names\.\n +--labels labels"
    ):
        adopt_file(path, Choices())


def test_metadata_say_what_integers_that_are_no_pixels_stand_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        operator_files.Builder, "image", lambda b: b.activation("image", (1, SIDE, SIDE, 3), -7, 7)
    )
    path = saved(tmp_path, PLAIN, {"labels.txt": NAMES}, "int8")
    found = known_by(adopt_file(path, Choices()))
    assert found["scaling"] == ("(pixel / 255 - 0.5) / 0.5", "the file's metadata")


@pytest.mark.parametrize("cut", [4, 20, 60, 100, 160, 220, 296])
def test_damaged_metadata_say_nothing(cut: int, tmp_path: Path) -> None:
    path = saved(tmp_path, PLAIN[:cut], {})
    assert read_metadata(path).labels is None
    with pytest.raises(Refused):
        adopt_file(path, Choices())
    for at in range(8, len(PLAIN), 7):
        changed = bytearray(PLAIN)
        changed[at] ^= 0xFF
        read_metadata(saved(tmp_path, bytes(changed), {"labels.txt": NAMES}))


def test_a_file_without_metadata_is_asked_as_before(tmp_path: Path) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", "float32"))
    with pytest.raises(Refused, match="does not state the scaling"):
        adopt_file(path, Choices())


def test_a_zip_bomb_behind_a_model_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "own.tflite"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", bytes(11_000_000))
    path.write_bytes(encode("softmax", "int8") + packed.getvalue())
    assert read_metadata(path).labels is None
