"""BMP, GIF, WebP and the HEIF family: their pixels, or an error that names them."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.card.card import Preprocessing
from app.errors import DamagedImage, UnsupportedFormat
from app.images.decode import load_image
from app.images.formats import sniff
from app.images.limits import ImageLimits
from tests.app.sample_images import EXIF_HEADER, cat, encode

WHOLE = Preprocessing(resize="shortest_edge", crop_fraction=1.0, interpolation="nearest")


def load(data: bytes, side: int) -> NDArray[np.uint8]:
    return load_image(data, side, WHOLE, ImageLimits())


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 40, 20), (10, 20, 30, 40), (39, 39, 40, 40)], ids=str)
def test_what_the_first_frame_of_a_gif_leaves_out_is_white(
    box: tuple[int, int, int, int], transparent: bool
) -> None:
    frame = Image.new("P", (box[2] - box[0], box[3] - box[1]), 1)
    frame.putpalette([255, 0, 0, 0, 0, 255])
    options = {"transparency": 0} if transparent else {}
    data = bytearray(encode(frame, "GIF", optimize=False, **options))
    data[6:10] = struct.pack("<HH", 40, 40)
    at = data.index(b"\x2c", 13 + 3 * 2)
    data[at + 1 : at + 5] = struct.pack("<HH", *box[:2])
    expected = np.full((40, 40, 3), 255)
    expected[box[1] : box[3], box[0] : box[2]] = (0, 0, 255)
    assert np.array_equal(load(bytes(data), 40), expected)


def test_what_the_first_frame_of_a_webp_leaves_out_is_white() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("blue", "red")]
    data = bytearray(
        encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    )
    data[24:30] = (59).to_bytes(3, "little") * 2  # the canvas
    got = load(bytes(data), 60)
    assert got[20, 20].tolist() == [0, 0, 255]
    assert got[50, 50].tolist() == [255, 255, 255]


def bmp(bits: int, compression: int, masks: tuple[int, ...] = ()) -> bytes:
    """Write a BMP of 16 x 16 zeros."""
    pixels = bytes(16 * 16 * 4)
    packed = b"".join(mask.to_bytes(4, "little") for mask in masks)
    offset = 14 + 40 + len(packed)
    info = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + packed + pixels


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bmp(16, 3, (0xF00, 0xF0, 0xF, 0xF000)), id="4-4-4-4"),
        pytest.param(bmp(32, 3, (0x3FF00000, 0xFFC00, 0x3FF)), id="10-10-10"),
        pytest.param(bmp(16, 3, (0xE000, 0x1C00, 0x300)), id="3-3-2"),
        pytest.param(bmp(2, 0), id="2-bits"),
        pytest.param(bmp(64, 0), id="64-bits"),
        pytest.param(bmp(24, 4), id="jpeg"),
        pytest.param(bmp(24, 5), id="png"),
    ],
)
def test_a_layout_of_bmp_is_rejected_by_name(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"^BMP images with \d+ bits per pixel"):
        load(data, 16)


@pytest.mark.parametrize("masks", [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)])
def test_the_usual_bit_fields_of_bmp_are_decoded(masks: tuple[int, ...]) -> None:
    assert (load(bmp(16, 3, masks), 16) == 0).all()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    brands = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0\0\0\x20meta"


@pytest.mark.parametrize(
    "head",
    [
        ftyp(b"avif"),
        ftyp(b"avis"),
        ftyp(b"mif1", b"miaf", b"avif"),
        ftyp(b"msf1", b"avis", b"miaf"),
    ],
)
def test_an_avif_is_known_by_its_brands(head: bytes) -> None:
    assert sniff(head) == "AVIF"


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_once(orientation: int, alpha: bool) -> None:
    photo = cat(128, 96)
    exif = Image.Exif()
    exif[0x0112] = orientation  # Pillow writes irot and imir, and keeps it out of the EXIF block
    stored = photo.convert("RGBA") if alpha else photo
    data = encode(stored, "AVIF", exif=exif, quality=100, subsampling="4:4:4")
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
    }  # fmt: skip
    shown = photo.transpose(turns[orientation]) if orientation > 1 else photo
    difference = load(data, 96).astype(int) - load(encode(shown, "PNG"), 96)
    assert np.abs(difference).mean() < 2


def test_the_exif_of_an_avif_does_not_turn_it_again() -> None:
    """The container says that it is stored upright, whatever EXIF says (MIAF, section 7.3.9)."""
    described = struct.pack("<HHI", 0x010E, 2, 2) + b"x\0\0\0"
    exif = EXIF_HEADER + b"II*\0" + struct.pack("<IH", 8, 1) + described + bytes(4)
    data = encode(cat(128, 96), "AVIF", exif=exif, quality=100)
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    stated = data.replace(described, tag)
    assert stated != data
    assert np.array_equal(load(stated, 96), load(data, 96))


def test_the_first_image_of_an_avif_sequence_counts() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    red, _, blue = load(data, 64)[32, 32].tolist()
    assert red > 240
    assert blue < 15


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_an_avif_that_is_cut_off_is_damaged(kept: float) -> None:
    data = encode(cat(128, 96), "AVIF")
    with pytest.raises(DamagedImage):
        load(data[: int(len(data) * kept)], 96)
