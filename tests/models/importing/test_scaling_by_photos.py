"""Labelled photos tell the scaling of networks whose right scaling is known by construction."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from PIL import Image

from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.missing import Missing
from models.importing.dialogue.options import Choices
from models.importing.dialogue.trials import CENTRED, UNIT, Trial, Way, not_worse
from models.importing.report import Adoption
from tests.models.graph_builder import GraphBuilder
from tests.models.importing.exported import run as answers_of
from tests.models.importing.finetuned import TORCH, unpack
from tests.models.importing.graphs import saved
from tests.models.importing.inputs import LABELS, MEAN, SIDE, STD, scaled

CLASSES, PHOTOS = 8, 60
RANDOM = np.random.default_rng(11)
CENTRES = RANDOM.integers(0, 256, (CLASSES, 3)).astype(np.uint8)
COLOURS = RANDOM.integers(0, 256, (PHOTOS, 3)).astype(np.uint8)
NAMES = tuple(f"colour {at}" for at in range(CLASSES))
WAYS: dict[str, tuple[Any, Any, bool]] = {  # mean, deviation, and whether blue comes first
    "centred": (0.5, 0.5, False),
    "unit": (0.0, 1.0, False),
    "pixels": (0.0, 1 / 255, False),
    "imagenet": (MEAN, STD, False),
    "centred, blue first": (0.5, 0.5, True),
    "unit, blue first": (0.0, 1.0, True),
}


def fed(colours: NDArray[np.uint8], way: str) -> NDArray[np.float32]:
    """Colours [N, 3] as a network is fed them."""
    mean, std, bgr = WAYS[way]
    values = scaled(colours, mean, std)
    return values[:, ::-1] if bgr else values


def nearest_colour(folder: Path, way: str) -> Path:
    """A network whose class is the nearest centre, if it is fed in this way."""
    centres = fed(CENTRES, way)
    builder = GraphBuilder([1, 3, 32, 32])
    builder.constants += [
        numpy_helper.from_array(np.ascontiguousarray(2 * centres[:, :, None, None]), "kernel"),
        numpy_helper.from_array(-(centres**2).sum(axis=1), "bias"),
    ]
    builder.node("GlobalAveragePool", ["x"], "pooled")
    builder.node("Conv", ["pooled", "kernel", "bias"], "maps")
    builder.node("Flatten", ["maps"], "scores")
    return saved(builder.model("scores"), folder)


def classes_of(way: str) -> NDArray[np.intp]:
    """The nearest centre of every colour, by the distance as such."""
    apart = fed(COLOURS, way)[:, None] - fed(CENTRES, way)[None]
    nearest: NDArray[np.intp] = (apart.astype(np.float64) ** 2).sum(axis=2).argmin(axis=1)
    return nearest


def photos_of(folder: Path, classes: NDArray[np.intp], names: tuple[str, ...] = NAMES) -> Path:
    """Images of one colour each, in a folder for each class."""
    for at, (colour, class_id) in enumerate(zip(COLOURS, classes, strict=True)):
        place = folder / "photos" / names[class_id]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), tuple(map(int, colour))).save(place / f"{at}.png")
    return folder / "photos"


def tried(path: Path, photos: Path, **stated: Any) -> Adoption:
    labels = path.with_name("labels.txt")
    labels.write_text("\n".join(NAMES))
    return adopt_file(path, Choices(**{"labels": str(labels), "photos": photos, **stated}), "own")


def found(adoption: Adoption, what: str) -> tuple[str, str]:
    [finding] = [one for one in adoption.findings if one.what == what]
    return finding.value, finding.known_by


@pytest.mark.parametrize("way", WAYS)
def test_the_photos_tell_the_scaling_and_the_order(way: str, tmp_path: Path) -> None:
    right = classes_of(way)
    adoption = tried(nearest_colour(tmp_path, way), photos_of(tmp_path, right))
    images = np.broadcast_to(COLOURS[:, None, None], (PHOTOS, 32, 32, 3)).copy()
    assert (answers_of(adoption.model, images)[0].argmax(axis=1) == right).all()
    order, known_by = found(adoption, "channels")
    assert order == ("blue, green, red" if WAYS[way][2] else "red, green, blue")
    assert known_by == found(adoption, "scaling")[1] == f"best on {PHOTOS} photos"
    assert len(adoption.trials) == 8
    assert [trial.accuracy for trial in adoption.trials] == sorted(
        (trial.accuracy for trial in adoption.trials), reverse=True
    )
    assert adoption.trials[0].accuracy == 100


def test_a_stated_scaling_leaves_the_order_to_the_photos(tmp_path: Path) -> None:
    way = "unit, blue first"
    path, photos = nearest_colour(tmp_path, way), photos_of(tmp_path, classes_of(way))
    adoption = tried(path, photos, mean=(0.0,), std=(1.0,))
    assert len(adoption.trials) == 2
    assert found(adoption, "scaling")[1] == "--mean, --std"
    assert found(adoption, "channels") == ("blue, green, red", f"best on {PHOTOS} photos")
    stated = tried(path, photos, mean=(0.0,), std=(1.0,), bgr=False)
    assert len(stated.trials) == 1
    assert stated.trials[0].accuracy < 100
    assert found(stated, "channels") == ("red, green, blue", "--rgb")


def all_but_four(photos: Path) -> None:
    for path in sorted(photos.rglob("*.png"))[:: PHOTOS // 3]:
        path.rename(path.with_suffix(".kept"))
    for path in photos.rglob("*.png"):
        path.unlink()
    for path in photos.rglob("*.kept"):
        path.rename(path.with_suffix(".png"))


def all_of_other_classes(photos: Path) -> None:
    first, *_ = sorted(photos.iterdir())
    for path in photos.rglob("*.png"):
        if path.parent != first:
            path.unlink()


def in_other_classes(photos: Path) -> None:
    """As with labels in another order: no scaling makes these right."""
    for at, path in enumerate(sorted(photos.rglob("*.png"))):
        place = photos / NAMES[at % CLASSES]
        place.mkdir(exist_ok=True)
        path.rename(place / f"other_{at}.png")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (all_but_four, "about equally good"),
        (all_of_other_classes, "all photos are of one class"),
        (in_other_classes, "in the order of the classes"),
    ],
)
def test_what_the_photos_do_not_tell_is_asked(
    change: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    photos = photos_of(tmp_path, classes_of("centred"))
    change(photos)
    with pytest.raises(Missing) as caught:
        tried(nearest_colour(tmp_path, "centred"), photos)
    [question] = caught.value.questions
    assert question.option == "--mean, --std"
    assert why in question.why
    assert "--mean 0.5 --std 0.5 --rgb" in [one.arguments for one in question.choices]
    assert len(caught.value.trials) == 8


def test_labels_are_asked_for_before_photos_are_read(tmp_path: Path) -> None:
    path = nearest_colour(tmp_path, "centred")
    with pytest.raises(Missing) as caught:
        adopt_file(path, Choices(photos=tmp_path / "gone"), "own")
    assert [question.option for question in caught.value.questions] == ["--labels"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "is not a class of the model"), (b"junk", "--photos: .*colour 0/broken.png: ")],
)
def test_photos_that_cannot_be_read_are_rejected(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    place = tmp_path / "photos" / ("colour 0" if content else "strange")
    place.mkdir(parents=True)
    if content:
        (place / "broken.png").write_bytes(content)
    else:
        Image.new("RGB", (32, 32)).save(place / "1.png")
    with pytest.raises(Refused, match=reason):
        tried(nearest_colour(tmp_path, "centred"), tmp_path / "photos")


def test_weights_alone_are_tried_too(tmp_path: Path) -> None:
    """Classes by the adopted model in one scaling, which its framework's answers vouch for."""
    path = unpack(TORCH, tmp_path)
    labels = tmp_path / "names.txt"
    labels.write_text("\n".join(LABELS))
    stated: dict[str, Any] = {"labels": str(labels), "resolution": SIDE, "crop_fraction": 1.0}
    right = adopt_file(path, Choices(mean=(0.0,), std=(1.0,), **stated), "own")
    images = RANDOM.integers(0, 256, (PHOTOS, 6, 6, 3)).astype(np.uint8)
    images = images.repeat(SIDE // 6, axis=1).repeat(SIDE // 6, axis=2)
    classes = answers_of(right.model, images)[0].argmax(axis=1)
    for at, (image, class_id) in enumerate(zip(images, classes, strict=True)):
        place = tmp_path / "photos" / LABELS[class_id]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{at}.png")
    adoption = adopt_file(path, Choices(photos=tmp_path / "photos", **stated), "own")
    assert found(adoption, "scaling") == ("(pixel / 255 - 0) / 1", f"best on {PHOTOS} photos")
    assert adoption.trials[0].accuracy == 100
    assert adoption.model == right.model


def test_a_quantised_input_shows_only_its_order(tmp_path: Path) -> None:
    centres = CENTRES[:, ::-1].astype(np.float32)
    builder = GraphBuilder([1, 3, 32, 32], TensorProto.UINT8)
    builder.constants += [
        numpy_helper.from_array(np.ascontiguousarray(2 * centres[:, :, None, None]), "kernel"),
        numpy_helper.from_array(-(centres**2).sum(axis=1), "bias"),
    ]
    builder.node("Cast", ["x"], "floats", to=TensorProto.FLOAT)
    builder.node("GlobalAveragePool", ["floats"], "pooled")
    builder.node("Conv", ["pooled", "kernel", "bias"], "maps")
    builder.node("Flatten", ["maps"], "scores")
    path = saved(builder.model("scores"), tmp_path)
    adoption = tried(path, photos_of(tmp_path, classes_of("unit, blue first")))
    assert found(adoption, "scaling") == ("none: it takes pixels", "the graph")
    assert found(adoption, "channels") == ("blue, green, red", f"best on {PHOTOS} photos")


@pytest.mark.parametrize(("wins", "clear"), [(6, False), (7, True)])
def test_seven_photos_that_only_one_scaling_gets_right_are_clear(wins: int, clear: bool) -> None:
    """The sign test: luck does as well in one of 128 cases, which is less than one in 100."""
    best = Trial(Way("a", CENTRED, False), (True,) * (wins + 20))
    other = Trial(Way("b", UNIT, False), (False,) * wins + (True,) * 20)
    assert not_worse([best, other]) == ([best] if clear else [best, other])


def test_red_first_is_presumed_and_blue_first_is_not() -> None:
    plain = Trial(Way("a", CENTRED, False), (True,) * 9)
    reversed_ = Trial(Way("a", CENTRED, True), (True,) * 9)
    assert not_worse([plain, reversed_]) == [plain]
    assert not_worse([reversed_, plain]) == [reversed_, plain]
