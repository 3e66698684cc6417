"""What comes out of a request body, for any that a client may send."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadRequest, NotAnImage, RequestError, TooManyImages
from app.request.body import RAW_TYPES, UNKNOWN_TYPES, split_images
from tests.app.sample_images import encode, noise

BOUNDARY = b"-a:strange=boundary_7"
TYPES = [
    *RAW_TYPES, *sorted(UNKNOWN_TYPES), "image/heic", "application/json",
    "multipart/form-data; boundary=b",
    'multipart/form-data; boundary="b c"', "multipart/form-data", "text/plain", "", ";", "a/b/c",
]  # fmt: skip

images = st.lists(st.binary(max_size=200), min_size=1, max_size=9)


@settings(deadline=None)
@given(images)
def test_images_of_a_form_come_out_as_they_went_in(sent: list[bytes]) -> None:
    sent = [image for image in sent if b"\r\n--" + BOUNDARY not in image] or [b""]
    head = b'Content-Disposition: form-data; name="f"; filename="\xc3\xa9.jpg"\r\n\r\n'
    parts = [b"--" + BOUNDARY + b"\r\n" + head + image + b"\r\n" for image in sent]
    body = b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"
    content_type = f'multipart/form-data; boundary="{BOUNDARY.decode()}"'
    assert split_images(body, content_type, 9) == sent


@settings(deadline=None)
@given(images, st.booleans())
def test_images_of_json_come_out_as_they_went_in(sent: list[bytes], as_urls: bool) -> None:
    start = "data:image/png;base64," if as_urls else ""
    texts = [start + base64.b64encode(image).decode() for image in sent]
    body = json.dumps({"images": texts}).encode()
    assert split_images(body, "application/json; charset=utf-8", 9) == sent


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=400), st.sampled_from(TYPES))
def test_no_body_brings_an_error_that_is_not_the_requests(body: bytes, content_type: str) -> None:
    try:
        found = split_images(body, content_type, 2)
    except RequestError as error:
        assert error.detail  # noqa: PT017  # most inputs raise nothing
    else:
        assert found


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255), max_size=80))  # headers are Latin-1
def test_no_content_type_brings_an_error_that_is_not_the_requests(content_type: str) -> None:
    try:
        found = split_images(b"--b--", content_type, 2)
    except RequestError as error:
        assert error.detail  # noqa: PT017  # most inputs raise nothing
    else:
        assert found == [b"--b--"]


def test_more_images_than_allowed_are_refused() -> None:
    body = json.dumps({"images": ["AAAA"] * 3}).encode()
    assert len(split_images(body, "application/json", 3)) == 3
    with pytest.raises(TooManyImages, match="3 images in one request; the maximum is 2"):
        split_images(body, "application/json", 2)


PIXELS = [[[[0, 0, 0]] * 8] * 8]


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        pytest.param({"images": [0] * 1000}, BadRequest, "array of pixels", id="numbers"),
        pytest.param({"images": PIXELS}, BadRequest, "array of pixels", id="pixels"),
        pytest.param({"instances": PIXELS}, BadRequest, "array of pixels", id="instances"),
        pytest.param(
            {"images": [{"type": "Buffer", "data": [255] * 999}]}, BadRequest, "toString", id="node"
        ),
        pytest.param(dict.fromkeys(map(str, range(1000))), BadRequest, "Expected", id="keys"),
        pytest.param([1] * 1000, BadRequest, "not a JSON object", id="list"),
        pytest.param({"images": [""] * 1000}, TooManyImages, "More than 32 images", id="empty"),
    ],
)
def test_json_of_far_too_many_pieces_is_refused_before_each_makes_a_fault(
    body: object, kind: type[RequestError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        split_images(json.dumps(body).encode(), "application/json", 32)


def test_a_jpeg_that_is_called_json_is_told_apart_however_many_commas_it_has() -> None:
    jpeg = b"\xff\xd8\xff\xe0" + b",\x00" * 1000
    with pytest.raises(BadRequest, match="image/jpeg"):
        split_images(jpeg, "application/json", 32)


def test_what_comes_after_one_image_too_many_is_not_looked_at() -> None:
    body = json.dumps({"images": ["no base64!", "AAAA", "AAAA"]}).encode()
    with pytest.raises(TooManyImages, match="3 images"):
        split_images(body, "application/json", 2)
    part = b'--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\n\r\n'
    with pytest.raises(TooManyImages, match="More than 2 images in one request"):
        split_images(part * 4 + b"damaged behind them", "multipart/form-data; boundary=b", 2)
    field = b'--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n3\r\n'
    with pytest.raises(BadRequest, match="'top_k' is not a file"):
        split_images(field + part * 3, "multipart/form-data; boundary=b", 2)


FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_curl_has_stripped_is_told_from_one_that_it_has_not(kind: str) -> None:
    """`curl -d @FILE` removes carriage returns, line feeds and zero bytes."""
    whole, form = encode(noise(40, 30), kind), "application/x-www-form-urlencoded"
    assert split_images(whole, form, 1) == [whole]
    stripped = whole.translate(None, b"\r\n\0")
    with pytest.raises(NotAnImage, match="curl --data-binary @FILE"):
        split_images(stripped, form, 1)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "image/jpeg", "application/x-www-form-urlencoded"]
)
def test_json_under_another_content_type_is_refused_with_its_own(kind: str) -> None:
    body = json.dumps({"images": ["AAAA"]}).encode()
    assert split_images(body, "application/json", 1) == [b"\0\0\0"]
    with pytest.raises(NotAnImage, match=r"looks like JSON.* `Content-Type: application/json`"):
        split_images(body, kind, 1)
