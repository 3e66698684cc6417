"""What of a frame is looked at: zone, rotation, EXIF."""

import io

import numpy as np
import pytest
from PIL import Image

from app.cameras.frames.encoded_frame import EncodedFrame
from app.cameras.frames.turned import as_captured, turned
from app.cameras.frames.zone import WHOLE, Rectangle, bounds
from app.errors import DamagedImage, ImageTooSmall, TooManyPixels, UnsupportedFormat
from app.images.decode_memory import UNLIMITED
from app.images.limits import ImageLimits
from app.inference.classify import Classifier
from app.model.model import Model, load_model
from tests.conftest import SMALL_V1

# Quarters: upper left 0, upper right 80, lower left 160, lower right 240.
QUARTERS = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((96, 128), np.uint8))
UPPER_RIGHT, LOWER_LEFT = Rectangle(0.55, 0.05, 0.4, 0.4), Rectangle(0.05, 0.55, 0.4, 0.4)


def jpeg(orientation: int = 1, format_name: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(QUARTERS).convert("RGB").save(buffer, format_name, exif=exif, quality=95)
    return buffer.getvalue()


def frame(data: bytes, limits: ImageLimits | None = None) -> EncodedFrame:
    return EncodedFrame(data, limits or ImageLimits(), UNLIMITED)


@pytest.fixture(scope="module")
def model(store: object) -> Model:
    from pathlib import Path

    return load_model(Path(str(store)) / f"{SMALL_V1}.onnx")


@pytest.mark.parametrize(
    ("rotation", "orientation", "levels"),
    [(0, 1, 80), (90, 1, 0), (180, 1, 160), (270, 1, 240), (0, 6, 0), (0, 3, 160), (90, 6, 160)],
)
def test_the_zone_is_that_of_the_frame_as_it_is_displayed(
    model: Model, rotation: int, orientation: int, levels: int
) -> None:
    """EXIF's 6 is a quarter turn clockwise, 3 half a turn."""
    shown = frame(jpeg(orientation))
    grey = shown.grey(UPPER_RIGHT, 24, rotation)
    assert grey is not None
    assert abs(float(grey.mean()) - levels) < 4
    pixels = shown.square(Classifier(ImageLimits()), model, 128, UPPER_RIGHT, rotation)
    assert pixels.shape == (128, 128, 3)
    assert abs(float(pixels.mean()) - levels) < 4


def test_the_whole_frame_is_what_a_request_would_classify(model: Model) -> None:
    classifier = Classifier(ImageLimits())
    pixels = frame(jpeg()).square(classifier, model, 128, WHOLE, 0)
    assert np.array_equal(pixels, classifier.decode(jpeg(), model, 128).pixels)
    quarter = frame(jpeg()).square(classifier, model, 128, WHOLE, 90)
    assert np.array_equal(quarter, np.rot90(pixels, -1))


def test_a_zone_is_mapped_back_by_each_rotation() -> None:
    for rotation in (0, 90, 180, 270):
        marked = np.zeros((60, 80), np.uint8)
        captured = as_captured(LOWER_LEFT, rotation)
        box = captured.of(80, 60)
        marked[round(box.top) : round(box.bottom), round(box.left) : round(box.right)] = 1
        shown = turned(marked, rotation)
        height, width = shown.shape
        inside = LOWER_LEFT.of(width, height)
        rows, columns = np.nonzero(shown)
        assert abs(columns.min() - inside.left) <= 1
        assert abs(rows.max() + 1 - inside.bottom) <= 1


def test_the_smallest_rectangle_around_a_zone_is_classified() -> None:
    assert bounds(()) == WHOLE
    around = bounds((Rectangle(0.1, 0.2, 0.2, 0.1), Rectangle(0.5, 0.1, 0.25, 0.4)))
    assert around == pytest.approx((0.1, 0.1, 0.65, 0.4))


def test_a_zone_keeps_the_limits_of_the_service(model: Model) -> None:
    classifier = Classifier(ImageLimits())
    with pytest.raises(TooManyPixels):
        frame(jpeg(), ImageLimits(max_pixels=49_151)).square(classifier, model, 128, UPPER_RIGHT, 0)
    with pytest.raises(ImageTooSmall):
        frame(jpeg()).square(classifier, model, 128, Rectangle(0, 0, 0.02, 1), 0)
    with pytest.raises(UnsupportedFormat):
        frame(jpeg(format_name="PNG")).square(classifier, model, 128, UPPER_RIGHT, 0)
    with pytest.raises(DamagedImage):
        frame(jpeg()[:900]).square(classifier, model, 128, UPPER_RIGHT, 0)
    assert frame(jpeg()[:900]).grey(WHOLE, 24, 0) is None
    assert frame(jpeg(format_name="PNG")).grey(WHOLE, 24, 0) is None


def test_the_newest_frame_is_shown_as_it_is_looked_at() -> None:
    assert frame(jpeg()).jpeg(0) == jpeg()
    turned_jpeg = frame(jpeg()).jpeg(90)
    assert turned_jpeg
    with Image.open(io.BytesIO(turned_jpeg)) as image:
        assert image.size == (192, 256)
        assert abs(int(np.asarray(image.convert("L"))[10, 10]) - 160) < 4
    for format_name in ("JPEG", "PNG"):  # EXIF turns it by a quarter, the setting by another one
        twice_turned = frame(jpeg(6, format_name)).jpeg(90)
        assert twice_turned
        with Image.open(io.BytesIO(twice_turned)) as image:
            assert image.size == (256, 192)
            assert abs(int(np.asarray(image.convert("L"))[10, 10]) - 240) < 4
    png = frame(jpeg(format_name="PNG")).jpeg(0)
    assert png
    assert png.startswith(b"\xff\xd8")
    assert frame(b"no image").jpeg(0) is None
