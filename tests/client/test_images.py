"""Image sources of the client: files, bytes, opened images and arrays."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mobilenet_gateway_client import Client, UnreadableImage
from mobilenet_gateway_client._images import encode as encode_source
from PIL import ExifTags, Image, ImageOps

from tests.app.sample_images import encode, noise
from tests.client.clients import Do, both


@both
def test_every_type_of_image_source_is_classified_alike(do: Do, url: str, tmp_path: Path) -> None:
    image = noise()
    file = tmp_path / "noise.png"
    image.save(file)
    forms = [file, str(file), file.read_bytes(), image, np.asarray(image)]
    answers = [do(url, "classify", form, top_k=3).predictions for form in forms]
    assert len(answers[0]) == 3
    assert all(answer == answers[0] for answer in answers)
    several = do(url, "classify", forms, top_k=3)
    for one in several:  # beside others, but the same pixels
        assert [p.class_id for p in one.predictions] == [p.class_id for p in answers[0]]


def closed_image() -> Image.Image:
    image = noise()
    image.close()
    return image


def broken_png() -> Image.Image:
    data = bytearray(encode(noise(400, 300), "PNG"))
    chunk = data.index(b"IDAT", data.index(b"IDAT") + 4)
    data[chunk : chunk + 4] = b"\xff\xff\xff\xff"
    return Image.open(io.BytesIO(data))


@both
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: "a\0b.jpg", "null byte"),
        (lambda: "a\ud800.jpg", "surrogates not allowed"),
        (closed_image, "closed image"),
        (broken_png, "broken PNG"),
    ],
    ids=["nul", "surrogate", "closed", "broken"],
)
def test_an_unreadable_image_does_not_affect_the_others(
    do: Do, url: str, make: Callable[[], Any], reason: str
) -> None:
    good, bad, also_good = do(url, "classify", [noise(), make(), noise()])
    assert good.label == also_good.label
    assert isinstance(bad.error, UnreadableImage)
    assert reason in bad.error.detail
    with pytest.raises(UnreadableImage, match=reason):
        do(url, "classify", make())


@both
def test_what_a_damaged_file_lacks_is_a_warning(do: Do, url: str) -> None:
    whole = encode(noise(300, 200), "JPEG")
    cut = whole[: int(len(whole) * 0.95)] + b"\xff\xd9"
    found = do(url, "classify", [whole, cut])
    assert (found[0].warnings, found[1].error) == ((), None)
    [warning] = found[1].warnings
    assert "ends before its last pixel" in warning


def test_pixels_of_any_mode_arrive(url: str) -> None:
    with Client(url) as client:
        for mode in ("L", "RGBA", "CMYK", "P", "1", "I;16"):
            assert client.classify(Image.new(mode, (40, 30))).predictions
        assert client.classify(np.zeros((30, 40), np.uint8)).predictions


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_opened_photo_is_turned_as_its_file_is(orientation: int, tmp_path: Path) -> None:
    path, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    noise(48, 32).save(path, exif=exif)
    with Image.open(path) as opened, Image.open(io.BytesIO(encode_source(opened))) as sent:
        assert np.array_equal(np.asarray(sent), np.asarray(ImageOps.exif_transpose(opened)))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_scale_are_rejected(mode: str) -> None:
    with pytest.raises(UnreadableImage, match=f"mode {mode} do not define which values are black"):
        encode_source(Image.new(mode, (40, 30)))


def test_an_opened_file_that_is_cut_off_is_an_unreadable_image() -> None:
    with (
        Image.open(io.BytesIO(encode(noise(400, 300))[:-2000])) as opened,
        pytest.raises(UnreadableImage, match="Cannot read the image: image file is truncated"),
    ):
        encode_source(opened)
