"""HEIC, with the decoder of the extra `heif`, and what is said without it."""

import base64
import zlib

import numpy as np
import pytest

from app.card.card import Preprocessing
from app.errors import DamagedImage, UnsupportedFormat
from app.images import formats
from app.images.decode import load_image
from app.images.helper_process import HelperLimits, HelperProcess
from app.images.helper_protocol import Job
from app.images.limits import ImageLimits
from app.images.plugins.heif import heic_is_installed

needs_decoder = pytest.mark.skipif(
    not heic_is_installed(), reason="needs pi-heif, the extra heif, to decode HEIC"
)
RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 200, 0), (0, 0, 200), (240, 240, 240)

# 64 x 48, encoded by pillow-heif: red and blue above green and white, with an EXIF block that says
# orientation 6, and irot for it. pi-heif decodes only, so that tests cannot write such files.
TURNED = (
    "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYFxS25qSSIDBChmpOQUQdkMBZnJJQxowCQzJx9siIsDAxMDI4jF"
    "eANCA8FMoBgQMBXCRVSA2CIzMy8NzAPJigI5qWBlQDUZZcmGDEiCjCAlrhWZYOV8BZkluQxQlQyfMwuKCoD05cyC"
    "5HwgXQbU68zIDBKaAFYk94Hhz98fPxgY+JkTgDokHBh5GP//BylgBqlgBiG5XUwOiUBJLSdGRjSZBQqNrNNePVm2"
    "cwdHhoECUIgZRDAoJgGVs7kwHiw+0Am0RCSzuCAV6jcHKNZIzkksgLJBLjWA0mAf/////wPU5wIFmRWZIEFmDg4O"
    "IMWZWZRfArScQSKzIBcWA4wMjKyNTCzNrUC2VGZRahpUnC85pTgZHOQgo4/mpiSC4maqBuN64Yanht//X6m0f3jX"
    "/nRRmt+CIxp7ve4/+/df8071kYXp4f+rq/v6n/5V4ls8f/sn3eRm4VUXPhyMEfnxbEJCbqBh9o+QdOEjCzxenN89"
    "4cE1PadozgrxA4wB8y9f4zgY5cD6pvNoulxNTe/flcv9+La+3TQ/8NAXhvNcP12Fw6Ovs18P13Kq1ngXm66kv7Zi"
    "11YuKbkf+zY4cgIdxgaJRF9fBi0gj4OBkVEIFM6gsIT4BwDOdZ+C"
)
# The same with orientation 5: irot and imir.
TURNED_AND_MIRRORED = (
    "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYFxX25qSSIDBChmpOQUQdkMBZnJJQxowCQzJx9siIsDAxMDI4jF"
    "+AhCA8FMoBgQMFXDRVSA2CIzMy8NzAPJigI5qWBlQDUZZcmGDEiCjCAlrhWZYOV8BZkluQxQlQx/MwuKCoD0ncyC"
    "5HwgXQbU68zIDBKaAFYk94Hhz98fPxgY+JkTgDokHBh5GP//BylgBqlgBiG5XUwOiUBJLSdGRjSZBQqNrNNePVm2"
    "cwdHhoECUIgZRDAoJgGVs7kwHiw+0Am0RCSzuCAV6jcHKNZIzkksgLJBLjWA0mAf/////wPU5wIFmRWZIEFmDg4O"
    "IMWZWZRfwgxm5GYWgXRIZhbkwqKCkYGRrZGJpbm1DciRyixKTYNK8CWnFCeDAx+k5WhuSiIolqZqMK4Xbnhq+P3/"
    "lUr7h3ftTxel+S04orHX6/6zf/8171QfWZge/r+6uq//6V8lvsXzt3/STW4WXnXhw8EYkR/PJiTkBhpm/whJFz6y"
    "wOPF+d0THlzTc4rmrBA/wBgw//I1joNRDqxvOo+my9XU9P5dudyPb+vbTfMDD31hOM/101U4PPo6+/VwLadqjXex"
    "6Ur6ayt2beWSkvuxb4MjJ9BhbJDo9PVl0ALyOBgYGYVAIQ50PCvEPwAnOqH1"
)
# Two images of 64 x 64; the second one, blue, is the primary.
TWO_IMAGES = (
    "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYExPze1JJEBAhQzUnKKoGyGgszkEgY0YJKZkw82xMWBgYmBEcRi"
    "nAyhgUAKKAYSWYskwsBgkZmZlwbmgWRFgZxUiDIGhoyyZEMGFEEmhCBfQWZJLlzficyCogIgvSSzIDkfSFcAlTkz"
    "MoOEJoAVyX1g+PP3xw8GBn7mBKDZEg6MPIz//4MUMINUMIOQ3C4mh0SgpLYTIyOazAKFRtZprzw11+UxSfFwgIRO"
    "gAgOhySgenYXxoNFG5QcgNaIZBYXpEJ95wDFAgWZFZkgAWYODqBWBpnMglxYkAJDibmRiZmBCUwyMNjkpiSCglVM"
    "g3F9xE++SfH/vzXG/8+tc34+dbG0wgYUmZ93nyt/fjH/b64zUAYA/uVYOw=="
)


def file(packed: str) -> bytes:
    return zlib.decompress(base64.b64decode(packed))


def corners(data: bytes) -> list[tuple[int, ...]]:
    """The colours of the displayed image's corners, by rows, rounded to those of the files."""
    whole = Preprocessing(resize="central_crop", crop_fraction=1.0, interpolation="nearest")
    pixels = load_image(data, 64, whole, ImageLimits())
    found = [pixels[y, x] for y in (4, 59) for x in (4, 59)]
    known = np.array([RED, GREEN, BLUE, WHITE])
    return [tuple(known[np.abs(known - colour).sum(axis=1).argmin()].tolist()) for colour in found]


def with_angle(quarters: int) -> bytes:
    """TURNED with another angle in irot, counted anticlockwise (ISO/IEC 23008-12, 6.5.10)."""
    data = bytearray(file(TURNED))
    data[data.index(b"irot") + 4] = quarters
    return bytes(data)


@needs_decoder
@pytest.mark.parametrize(
    ("quarters", "expected"),
    [
        (0, [RED, BLUE, GREEN, WHITE]),
        (1, [BLUE, WHITE, RED, GREEN]),
        (2, [WHITE, GREEN, BLUE, RED]),
        (3, [GREEN, RED, WHITE, BLUE]),
    ],
)
def test_the_container_turns_an_image_and_exif_does_not(
    quarters: int, expected: list[tuple[int, ...]]
) -> None:
    assert corners(with_angle(quarters)) == expected


@needs_decoder
def test_an_image_is_mirrored_once() -> None:
    assert corners(file(TURNED_AND_MIRRORED)) == [RED, GREEN, BLUE, WHITE]  # transposed


@needs_decoder
def test_the_primary_image_of_several_counts() -> None:
    assert set(corners(file(TWO_IMAGES))) == {BLUE}


@needs_decoder
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
def test_a_file_that_is_cut_off_is_damaged(kept: float) -> None:
    data = file(TURNED)
    with pytest.raises(DamagedImage):
        corners(data[: int(len(data) * kept)])


@needs_decoder
def test_the_helper_process_decodes_it_within_its_limits() -> None:
    helper = HelperProcess(ImageLimits(), HelperLimits(memory_bytes=10**7))
    job = Job(64, "central_crop", 1.0, "nearest", reduced_decode=True)
    try:
        pixels = np.frombuffer(helper.decode(file(TURNED), job, lambda: False), np.uint8)
    finally:
        helper.stop()
    assert np.abs(pixels.reshape(64, 64, 3)[4, 4] - np.array(GREEN)).max() < 20


def test_without_its_decoder_the_rejection_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formats, "SUPPORTED", formats.ALWAYS)
    with pytest.raises(UnsupportedFormat, match=r"need the extra `heif`: pip install .*\[heif\]"):
        formats.sniff(file(TURNED))
