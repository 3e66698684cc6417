"""MJPEG streams as real cameras write them, and as none should."""

import pytest

from app.cameras.sources.multipart import MultipartError, MultipartFrames, boundary_of
from loadtest.cameras.scenes import plain

JPEGS = [b"\xff\xd8first\r\n--\r\n\xff\xd9", b"\xff\xd8second\xff\xd9", b"\xff\xd8third\xff\xd9"]
LIMIT = 10_000


def esp32(jpeg: bytes) -> bytes:
    head = b"\r\n--123456789000000000000987654321\r\nContent-Type: image/jpeg\r\n"
    return head + b"Content-Length: %d\r\nX-Timestamp: 12.345\r\n\r\n" % len(jpeg) + jpeg


def mjpg_streamer(jpeg: bytes) -> bytes:
    head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\nX-Timestamp: 1.5\r\n\r\n" % len(jpeg)
    return head + jpeg + b"\r\n--boundarydonotcross\r\n"


def motion(jpeg: bytes) -> bytes:
    head = b"--BoundaryString\r\nContent-type: image/jpeg\r\nContent-Length:%8d\r\n\r\n"
    return head % len(jpeg) + jpeg + b"\r\n\r\n"


def dashes(jpeg: bytes) -> bytes:
    return b"--ipcamera\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n"


def bare_lines(jpeg: bytes) -> bytes:
    return b"--cam\nContent-Type: image/jpeg\n\n" + jpeg + b"\n"


def wrong_length(jpeg: bytes) -> bytes:
    return b"--cam\r\nContent-Length: %d\r\n\r\n" % (len(jpeg) + 7) + jpeg + b"\r\n"


CAMERAS = {
    "ESP32-CAM": (b"", esp32, "123456789000000000000987654321", b""),
    "mjpg-streamer": (b"--boundarydonotcross\r\n", mjpg_streamer, "boundarydonotcross", b""),
    "motion": (b"", motion, "BoundaryString", b""),
    "dashes that belong to the delimiter": (b"", dashes, "--ipcamera", b"--ipcamera--\r\n"),
    "LF only": (b"", bare_lines, "cam", b"--cam--\n"),
    "no boundary in the header": (b"", motion, None, b"--BoundaryString--\r\n"),
    "a length that is too large": (b"", wrong_length, "cam", b"--cam--\r\n"),
    "a preamble": (b"hello\r\n", motion, "BoundaryString", b""),
}


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_the_frames_of_real_cameras_are_found_however_they_are_cut(camera: str, piece: int) -> None:
    before, part, boundary, after = CAMERAS[camera]
    stream = before + b"".join(map(part, JPEGS)) + after
    parser = MultipartFrames(boundary, LIMIT)
    found = []
    for at in range(0, len(stream), piece):
        found += parser.feed(stream[at : at + piece])
    assert [one.rstrip(b"\r\n") for one in found] == JPEGS


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/x-mixed-replace;boundary=123", "123"),
        ('multipart/x-mixed-replace; boundary="--my boundary"', "--my boundary"),
        ("multipart/x-mixed-replace; Boundary = frame; charset=x", "frame"),
        ("multipart/x-mixed-replace", None),
    ],
)
def test_the_boundary_is_read_from_the_header(content_type: str, boundary: str | None) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"--cam\r\nContent-Length: 10001\r\n\r\n", "A frame has more than 10000 bytes."),
        (b"--cam\r\n\r\n" + b"x" * 10_001, "A frame has more than 10000 bytes."),
        (b"--cam\r\nX: " + b"y" * 20_000, "The stream has no parts with a header."),
        (b"z" * 20_000, "The stream has no parts with a header."),
    ],
)
def test_a_part_that_is_too_large_ends_the_stream(stream: bytes, told: str) -> None:
    with pytest.raises(MultipartError) as caught:
        MultipartFrames("cam", LIMIT).feed(stream)
    assert str(caught.value) == told


def test_parts_that_are_no_jpeg_are_left_out() -> None:
    stream = b"--cam\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello\r\n"
    found = MultipartFrames("cam", LIMIT).feed(stream + stream + motion(JPEGS[1]))
    assert found == []
    parser = MultipartFrames("BoundaryString", LIMIT)
    assert parser.feed(motion(b"no image") + motion(JPEGS[1])) == [JPEGS[1]]


def test_a_frame_without_a_length_is_complete_with_its_end_and_not_with_the_next_frame() -> None:
    image = plain(90)
    parser = MultipartFrames("cam", 100_000)
    assert parser.feed(b"--cam\r\n\r\n" + image[:-1]) == []
    assert parser.feed(image[-1:]) == [image]
    assert parser.feed(b"\r\n--cam\r\n\r\n" + image) == [image]


def test_frames_of_the_maximum_size_pass_one_after_another() -> None:
    image = plain(90)
    limit = len(image) + 100_000
    large = image[:-2] + bytes(100_000) + image[-2:]
    parser = MultipartFrames("cam", limit)
    part = b"--cam\r\nContent-Length: %d\r\n\r\n" % limit + large + b"\r\n"
    assert parser.feed(3 * part) == [large] * 3
