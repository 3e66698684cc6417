"""Which images a worker decodes, and which ones it leaves to the helper process."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from app.card.card import Preprocessing
from app.errors import DamagedImage
from app.images.decode import load_image
from app.images.decode_memory import DecodeMemory
from app.images.limits import BeyondBounds, ImageLimits
from loadtest.robustness.structured_images.bitmaps import bmp, gif, grey_tags, striped_tiff, tiff
from loadtest.robustness.structured_images.chunks import chunk, png, riff_chunk, webp
from loadtest.robustness.structured_images.jpeg import coded_blocks, jpeg, progressive_jpeg, segment
from tests.app.sample_images import cat, encode, noise, oriented_exif

RULE = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
WORKER, HELPER = "worker", "helper"


def decoder(data: bytes, *, reduced: bool = True, memory_bytes: int = 64 * 2**20) -> str:
    """Return who decodes an image; a worker has decoded it then."""
    memory = DecodeMemory(memory_bytes)
    try:
        pixels = load_image(
            data, 224, RULE, ImageLimits(), reduced_decode=reduced, memory=memory, bounded=True
        )
    except BeyondBounds:
        return HELPER
    assert pixels.shape == (224, 224, 3)
    return WORKER


def whole_jpeg(width: int, height: int, *, header: bytes = b"") -> bytes:
    """A JPEG with all the data that its size needs."""
    return jpeg(width, height, header=header, coded=coded_blocks(width, height))


def photo(width: int, height: int) -> Image.Image:
    """A photo with the noise of a camera."""
    grain = np.random.default_rng(0).integers(-6, 7, (height, width, 3))
    pixels = np.asarray(cat(width, height)).astype(np.int16) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        pytest.param("JPEG", {}, id="jpeg"),
        pytest.param("JPEG", {"progressive": True}, id="progressive"),
        pytest.param("JPEG", {"exif": oriented_exif(6), "comment": b"x" * 60_000}, id="metadata"),
        pytest.param("JPEG", {"icc_profile": bytes(500_000)}, id="icc"),
        pytest.param("JPEG", {"restart_marker_rows": 1}, id="restarts"),
        pytest.param("PNG", {}, id="png"),
        pytest.param("PNG", {"icc_profile": bytes(3000)}, id="png-icc"),
        pytest.param("WEBP", {}, id="webp"),
        pytest.param("WEBP", {"lossless": True, "exif": oriented_exif(6)}, id="webp-lossless"),
    ],
)
def test_a_worker_decodes_an_ordinary_photo(image: str, options: dict[str, object]) -> None:
    assert decoder(encode(photo(1280, 720), image, **options)) == WORKER


def test_a_worker_decodes_the_photo_of_a_phone() -> None:
    data = encode(cat(4000, 3000), "JPEG", quality=95)
    assert decoder(data) == WORKER
    film = b"\0\0\0\x18ftypmp42" + bytes(12_000_000)
    assert decoder(data + film) == WORKER


@pytest.mark.parametrize("image", ["TIFF", "BMP", "GIF"])
def test_the_helper_decodes_formats_that_set_no_limits(image: str) -> None:
    assert decoder(encode(cat(64, 64), image)) == HELPER


ZEROS = zlib.compress(bytes(1 << 20), 9)
EXIF = segment(0xE1, b"Exif\0\0" + b"A" * 10)
PHOTOSHOP = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\0\0\0\0\0\0\0" * 5000)


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        pytest.param(
            whole_jpeg(640, 480), jpeg(640, 480, scans=[(1,), (2,), (3,)]), id="jpeg-scans"
        ),
        pytest.param(
            progressive_jpeg(640, 480, 100), progressive_jpeg(640, 480, 101), id="progressive-scans"
        ),
        pytest.param(
            progressive_jpeg(3000, 2000, 5), progressive_jpeg(3000, 2000, 90), id="pixels-and-scans"
        ),
        pytest.param(
            whole_jpeg(640, 480, header=EXIF * 900),
            whole_jpeg(640, 480, header=EXIF * 1000),
            id="app1",
        ),
        pytest.param(
            whole_jpeg(640, 480, header=segment(0xFE) * 900),
            whole_jpeg(640, 480, header=segment(0xFE) * 1000),
            id="comments",
        ),
        pytest.param(
            whole_jpeg(640, 480, header=segment(0xE5, bytes(60_000)) * 69),
            whole_jpeg(640, 480, header=segment(0xE5, bytes(60_000)) * 70),
            id="app-bytes",
        ),
        pytest.param(
            whole_jpeg(640, 480, header=PHOTOSHOP * 3),
            whole_jpeg(640, 480, header=PHOTOSHOP * 20),
            id="app13",
        ),
        pytest.param(
            whole_jpeg(640, 480, header=segment(0xDB, b"\x00" + b"\x01" * 64) * 900),
            whole_jpeg(640, 480, header=segment(0xDB, (b"\x00" + b"\x01" * 64) * 1000) * 2),
            id="tables",
        ),
        pytest.param(
            whole_jpeg(640, 480), whole_jpeg(640, 480, header=b"\xff" * 1000), id="fill-bytes"
        ),
        pytest.param(
            whole_jpeg(640, 480),
            whole_jpeg(640, 480, header=segment(0xFE) + bytes(1000)),
            id="junk",
        ),
        pytest.param(
            whole_jpeg(640, 480), jpeg(640, 480, scans=[(1, 2), (3,)]), id="a-component-of-its-own"
        ),
        pytest.param(
            png(640, 480, before=chunk(b"teXt") * 10_000),
            png(640, 480, before=chunk(b"teXt") * 20_000),
            id="png-chunks",
        ),
        pytest.param(
            png(640, 480, before=chunk(b"zTXt", b"a\0\0" + ZEROS) * 10),
            png(640, 480, before=chunk(b"zTXt", b"a\0\0" + ZEROS) * 20),
            id="png-compressed-text",
        ),
        pytest.param(png(640, 480, parts=100), png(640, 480, parts=20_000), id="png-empty-idat"),
        pytest.param(png(1920, 1080), png(3000, 2000), id="png-pixels"),
        pytest.param(
            png(1000, 1000, depth=16, colour=6),
            png(1400, 1000, depth=16, colour=6),
            id="png-raw-bytes",
        ),
        pytest.param(
            webp(640, 480, before=riff_chunk(b"ABCD") * 10_000),
            webp(640, 480, before=riff_chunk(b"ABCD") * 20_000),
            id="webp-chunks",
        ),
        pytest.param(webp(640, 480, frames=100), webp(640, 480, frames=20_000), id="webp-frames"),
        pytest.param(webp(1600, 1200), webp(3000, 2000), id="webp-pixels"),
    ],
)
def test_beyond_a_limit_the_helper_decodes(within: bytes, beyond: bytes) -> None:
    assert (decoder(within), decoder(beyond)) == (WORKER, HELPER)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gif(64, 64, clears=4096), id="gif"),
        pytest.param(gif(64, 64, clears=4096, before=b"!\xfe\x01a\0" * 1000), id="gif-comments"),
        pytest.param(bmp(64, 64, b"\x40\x02\0\0" * 64), id="bmp-runs"),
        pytest.param(striped_tiff(64, 64, bytes(64)), id="tiff-strips"),
        pytest.param(
            tiff([*grey_tags(64, 64), (273, 4, 1, 8), (279, 4, 1, 4096)], bytes(4096)), id="tiff"
        ),
    ],
)
def test_a_worker_never_opens_these(data: bytes) -> None:
    assert decoder(data) == HELPER
    assert load_image(data, 64, RULE, ImageLimits()).shape == (64, 64, 3)


def test_scans_inside_metadata_do_not_count() -> None:
    data = encode(cat(640, 480), "JPEG", progressive=True)
    hidden = segment(0xE2, b"\xff\xda" * 20_000)
    assert decoder(data[:2] + hidden + data[2:]) == WORKER


def test_the_full_size_of_a_photo_takes_longer_than_a_part_of_it() -> None:
    data = encode(cat(4000, 3000), "JPEG", quality=95)
    assert (decoder(data), decoder(data, reduced=False)) == (WORKER, HELPER)


def test_the_helper_decodes_what_takes_more_memory_than_all_workers_have() -> None:
    data = encode(noise(1000, 1000), "PNG")  # 17 bytes a pixel at most, and a copy of the file
    assert decoder(data, memory_bytes=17_000_000 + len(data)) == WORKER
    assert decoder(data, memory_bytes=16_999_999 + len(data)) == HELPER


def test_libjpeg_decodes_only_one_scan_with_all_components() -> None:
    with pytest.raises(DamagedImage):
        decoder(jpeg(640, 480, scans=[(1, 2, 3)] * 1000))


@pytest.mark.parametrize("kept", [3, 20, 200])
def test_a_header_that_is_cut_off_is_a_damaged_image(kept: int) -> None:
    with pytest.raises(DamagedImage):
        decoder(encode(cat(64, 64), "JPEG")[:kept])


@pytest.mark.parametrize(("mode", "levels"), [("I;16", "<u2"), ("I;16B", ">u2")])
def test_16_bit_levels_are_rounded_to_8_bits(mode: str, levels: str) -> None:
    every = np.arange(65_536, dtype=levels)
    square = Image.frombytes(mode, (256, 256), every.tobytes())
    data = io.BytesIO()
    square.save(data, "TIFF")
    rule = Preprocessing(resize="central_crop", crop_fraction=1, interpolation="nearest")
    got = load_image(data.getvalue(), 256, rule, ImageLimits())[..., 0].ravel()
    assert [int(got[level]) for level in (0, 128, 129, 385, 386, 65_406, 65_407, 65_535)] == [
        0, 0, 1, 1, 2, 254, 255, 255,
    ]  # fmt: skip
    assert got.tolist() == [(level + 128) // 257 for level in range(65_536)]


def test_pixels_count_at_the_scale_of_decoding() -> None:
    assert decoder(whole_jpeg(6000, 6500)) == WORKER  # decoded at 1/8
    assert decoder(whole_jpeg(600, 65_000)) == HELPER  # decoded at 1/2
