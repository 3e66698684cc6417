"""POST /predict: every way to send images, and every way to fail at it."""

import gzip
import http.client
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from app.errors import (
    BadRequest,
    DamagedImage,
    EmptyBody,
    ImageTooSmall,
    NotAnImage,
    RequestError,
    TooManyBytes,
    TooManyImages,
    TooManyPixels,
    UnsupportedFormat,
)
from app.problem import TYPE_PREFIX
from app.request.body import RAW_TYPES, UNKNOWN_TYPES
from app.settings import Settings
from tests.app.http.routes.predicting import (
    FILE,
    FORM,
    JPEG,
    JSON,
    PHOTO,
    answered,
    classes,
    form,
    json_of,
    predict,
)
from tests.app.problems import FIELDS, assert_problem
from tests.app.sample_images import as_base64, encode, noise, png_bomb
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S
from tests.serving import served

# What browsers, phones, cameras and scripts call images that are none, or not these.
OTHER_IMAGE_TYPES = (
    "image/jpg", "image/*", "image/tif", "image/x-bmp", "image/jfif", "image/mpo", "image/heic",
)  # fmt: skip


@pytest.mark.parametrize(
    "content_type",
    [*RAW_TYPES, *sorted(UNKNOWN_TYPES), *OTHER_IMAGE_TYPES, "IMAGE/JPEG; q=1", ""],
)
def test_a_raw_body_is_taken_with_every_image_type(client: httpx.Client, content_type: str) -> None:
    [result] = answered(predict(client, PHOTO, {"Content-Type": content_type}))
    assert classes(result) == classes(answered(predict(client, PHOTO))[0])


@pytest.mark.parametrize("format_name", ["AVIF", "TIFF", "GIF"])
def test_what_the_helper_process_decodes_is_answered_in_its_place(
    client: httpx.Client, format_name: str
) -> None:
    photo = encode(noise(300, 200), format_name)
    one, other, third = answered(predict(client, json_of(photo, PHOTO, photo), JSON))
    assert classes(one) == classes(third)
    assert classes(other) == classes(answered(predict(client, PHOTO))[0])
    assert "warnings" not in one


@pytest.mark.parametrize(
    ("end", "warning"),
    [
        pytest.param(0.97, "its data ends before its last pixel", id="decoded-twice"),
        pytest.param(1, None, id="whole"),
    ],
)
def test_a_damaged_image_that_decodes_is_answered_with_warnings(
    client: httpx.Client, end: float, warning: str | None
) -> None:
    whole = encode(noise(640, 480), "JPEG")[:-2]
    data = whole[: int(len(whole) * end)] + b"\xff\xd9"
    [result] = answered(predict(client, data))
    assert len(result["predictions"]) == 5
    if warning is None:
        assert "warnings" not in result
    else:
        [text] = result["warnings"]
        assert warning in text


def test_an_image_that_lacks_much_is_a_400(client: httpx.Client) -> None:
    whole = encode(noise(640, 480), "JPEG")
    response = predict(client, whole[: len(whole) // 4] + b"\xff\xd9")
    assert "cannot be decoded to its end" in assert_problem(response, DamagedImage)


def test_a_body_may_come_in_chunks_of_unknown_length(client: httpx.Client) -> None:
    pieces = (PHOTO[start : start + 1000] for start in range(0, len(PHOTO), 1000))
    response = client.post("/predict", content=pieces, headers=JPEG)
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert len(answered(response)) == 1


def test_images_of_a_form_are_answered_in_their_order(client: httpx.Client) -> None:
    photos = [encode(noise(seed=seed)) for seed in range(9)]
    alone = [answered(predict(client, photo))[0]["predictions"] for photo in photos]
    files = [("image", (f"{index}.jpg", photo)) for index, photo in enumerate(photos)]
    together = answered(client.post("/predict", files=files))
    assert [result["predictions"] for result in together] == alone


def test_a_form_may_call_its_fields_anything(client: httpx.Client) -> None:
    response = client.post("/predict", files={"a": ("x", PHOTO), "b": ("y", PHOTO)})
    assert len(answered(response)) == 2


def test_json_takes_plain_base64_and_data_urls(client: httpx.Client) -> None:
    text = as_base64(PHOTO)
    response = client.post("/predict", json={"images": [text, f"data:image/jpeg;base64,{text}"]})
    first, second = answered(response)
    assert first["predictions"] == second["predictions"]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        pytest.param(b"not an image", NotAnImage, id="text"),
        pytest.param(PHOTO[: len(PHOTO) // 2], DamagedImage, id="truncated"),
        pytest.param(b"", EmptyBody, id="empty"),
        pytest.param(encode(noise(1, 1), "PNG"), ImageTooSmall, id="one-pixel"),
        pytest.param(png_bomb(), TooManyPixels, id="bomb"),
        pytest.param(b"%PDF-1.7", UnsupportedFormat, id="pdf"),
    ],
)
@pytest.mark.parametrize("way", ["form", "json"])
def test_one_bad_image_among_several_has_its_error_in_its_place(
    client: httpx.Client, bad: bytes, kind: type[RequestError], way: str
) -> None:
    images = [PHOTO, bad, PHOTO]
    if way == "form":
        response = predict(client, form(*(FILE + image for image in images)), FORM)
    else:
        response = predict(client, json_of(*images), JSON)
    first, second, third = answered(response)
    assert first["predictions"] == third["predictions"] != []
    assert second.keys() == {"predictions", "queue_ms", "decode_ms", "inference_ms", "error"}
    assert second["predictions"] == []
    assert second["error"].keys() == FIELDS
    assert second["error"]["type"] == TYPE_PREFIX + kind.type
    assert second["error"]["status"] == kind.status


def wrapped(text: str) -> str:
    return "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(wrapped, id="wrapped-lines"),
        pytest.param(lambda text: text.replace("+", "-").replace("/", "_"), id="url-safe"),
        pytest.param(lambda text: text.rstrip("="), id="unpadded"),
        pytest.param(lambda text: f"DATA:image/jpeg;BASE64,{text}", id="capitals"),
        pytest.param(lambda text: f"data:image/jpeg;base64,{wrapped(text)}\n", id="wrapped-url"),
    ],
)
def test_base64_is_taken_as_every_library_writes_it(
    client: httpx.Client, write: Callable[[str], str]
) -> None:
    """RFC 2045 wraps lines at 76 letters; RFC 4648, section 5, has the URL-safe alphabet."""
    for photo in (PHOTO, PHOTO + b"\0", PHOTO + b"\0\0"):  # every length of padding
        [result] = answered(client.post("/predict", json={"images": [write(as_base64(photo))]}))
        assert classes(result) == classes(answered(predict(client, PHOTO))[0])


def test_json_may_begin_with_a_byte_order_mark(client: httpx.Client) -> None:
    assert len(answered(predict(client, b"\xef\xbb\xbf" + json_of(PHOTO), JSON))) == 1


def test_instances_of_tensorflow_serving_are_taken(client: httpx.Client) -> None:
    instances = [{"b64": as_base64(PHOTO)}, {"b64": as_base64(PHOTO)}]
    asked = {"signature_name": "serving_default", "instances": instances}
    first, second = answered(client.post("/predict", json=asked))
    assert first["predictions"] == second["predictions"] != []


def test_text_that_is_no_base64_has_its_error_in_its_place(client: httpx.Client) -> None:
    asked = {"images": [as_base64(PHOTO), "%%%", as_base64(PHOTO)]}
    first, second, third = answered(client.post("/predict", json=asked))
    assert first["predictions"] == third["predictions"] != []
    assert second["error"]["type"] == TYPE_PREFIX + BadRequest.type
    assert "images.1 is not base64" in second["error"]["detail"]
    all_bad = answered(client.post("/predict", json={"images": ["%", "%"]}))
    assert [result["predictions"] for result in all_bad] == [[], []]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%e7%8c%ab.jpg\r\n\r\n",
        b'Content-Disposition: form-data; name="f"\r\nContent-Type: image/jpeg\r\n\r\n',
        b'Content-Disposition: form-data; name="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n",
    ],
    ids=["encoded-name", "image-type", "octets"],
)
def test_a_part_is_a_file_by_an_encoded_name_or_by_its_type(
    client: httpx.Client, head: bytes
) -> None:
    assert len(answered(predict(client, form(head + PHOTO), FORM))) == 1


def raw_deflate(body: bytes) -> bytes:
    """Without zlib's header, as some clients understand the name (RFC 9110, section 8.4.1.2)."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("X-Gzip", gzip.compress, id="old-name"),
        pytest.param("deflate", zlib.compress, id="zlib"),
        pytest.param("deflate", raw_deflate, id="raw-deflate"),
        pytest.param("identity", bytes, id="identity"),
    ],
)
def test_compressed_bodies_are_decompressed(
    client: httpx.Client, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    expected = answered(predict(client, PHOTO))[0]["predictions"]
    headers = {**JPEG, "Content-Encoding": encoding}
    assert answered(predict(client, pack(PHOTO), headers))[0]["predictions"] == expected
    headers = {**JSON, "Content-Encoding": encoding}
    assert answered(predict(client, pack(json_of(PHOTO)), headers))[0]["predictions"] == expected


def test_a_compressed_body_keeps_the_limits_of_a_plain_one(strict: httpx.Client) -> None:
    headers = {**JPEG, "Content-Encoding": "gzip"}
    bomb = gzip.compress(bytes(10_000_000))
    assert "100000 bytes" in assert_problem(predict(strict, bomb, headers), TooManyBytes)
    whole = gzip.compress(PHOTO)
    for damaged in (PHOTO, whole[:-9], whole + b"more"):
        assert "gzip" in assert_problem(predict(strict, damaged, headers), BadRequest)
    headers["Content-Encoding"] = "br"
    assert "'br'" in assert_problem(predict(strict, PHOTO, headers), UnsupportedFormat)


@pytest.mark.parametrize("pixels", [(500, 500), (2000, 1500)])
def test_a_body_may_expand_to_a_mebibyte_or_twenty_times_its_size(
    client: httpx.Client, pixels: tuple[int, int]
) -> None:
    headers = {**JPEG, "Content-Encoding": "gzip"}
    blank = encode(Image.new("RGB", pixels), "BMP")  # 0.75 and 9 MB, which compress to some kB
    response = predict(client, gzip.compress(blank), headers)
    if len(blank) < 2**20:
        answered(response)
    else:
        assert "more than 20 times its size" in assert_problem(response, TooManyBytes)
    grained = encode(noise(*pixels), "BMP")
    answered(predict(client, gzip.compress(grained), headers))


@pytest.fixture(scope="module")
def strict(store: Path) -> Iterator[httpx.Client]:
    """The service with small limits."""
    settings = Settings(
        store=store, default_model=SMALL_V1, max_body_bytes=100_000, max_images=3, workers=1
    )
    with served(settings) as client:
        yield client


BAD_IMAGES = [
    pytest.param(b"", {}, EmptyBody, "empty", id="empty-body"),
    pytest.param(b"hello, I am a JPEG", JPEG, NotAnImage, "JPEG, PNG", id="text-called-jpg"),
    pytest.param(PHOTO[: len(PHOTO) // 2], JPEG, DamagedImage, "cut off", id="truncated-jpeg"),
    pytest.param(PHOTO[:20], JPEG, DamagedImage, "JPEG", id="header-only"),
    pytest.param(encode(noise(1, 1), "PNG"), {}, ImageTooSmall, "1 x 1", id="one-pixel"),
    pytest.param(png_bomb(), {}, TooManyPixels, "20000 x 20000", id="bomb"),
    pytest.param(b"%PDF-1.7\n", {}, UnsupportedFormat, "PDF", id="pdf-as-octets"),
]
BAD_BODIES = [
    pytest.param(PHOTO, {"Content-Type": "application/xml"}, UnsupportedFormat,
                 "'application/xml'", id="xml-type"),
    pytest.param(PHOTO, {"Content-Type": "video/mp4"}, UnsupportedFormat, "'video/mp4'",
                 id="video-type"),
    pytest.param(b"plain words", {"Content-Type": "text/plain"}, NotAnImage, "JPEG, PNG",
                 id="text-that-is-text"),
    pytest.param(b"{", JSON, BadRequest, "Invalid JSON", id="broken-json"),
    pytest.param(b"[" * 100_000, JSON, BadRequest, "not a JSON object", id="deep-json"),
    pytest.param(b"\xff\xfe", JSON, BadRequest, "Invalid JSON", id="json-of-bytes"),
    pytest.param(b"[]", JSON, BadRequest, "object", id="json-list"),
    pytest.param(b"{}", JSON, BadRequest, "images", id="json-without-images"),
    pytest.param(b'{"images": []}', JSON, BadRequest, "images", id="json-no-image"),
    pytest.param(b'{"images": [1]}', JSON, BadRequest, "images.0", id="json-number"),
    pytest.param(b'{"images": ["AAAA"], "topk": 3}', JSON, BadRequest, "topk",
                 id="json-unknown-field"),
    pytest.param(b'{"images": ["%%%"]}', JSON, BadRequest, "images.0 is not base64",
                 id="broken-base64"),
    pytest.param(b'{"images": ["A"]}', JSON, BadRequest, "images.0 is not base64",
                 id="cut-base64"),
    pytest.param('{"images": ["é"]}'.encode(), JSON, BadRequest, "images.0 is not base64",
                 id="base64-of-letters-beyond-ascii"),
    pytest.param(b'{"images": ["data:image/jpeg,%FF%D8"]}', JSON, BadRequest, "data: URL",
                 id="data-url-without-base64"),
    pytest.param(b'{"images": [""]}', JSON, EmptyBody, "got no bytes", id="json-empty-image"),
    pytest.param(form(FILE + PHOTO), {"Content-Type": "multipart/form-data"}, BadRequest,
                 "boundary", id="form-without-boundary"),
    pytest.param(form(FILE + PHOTO), {"Content-Type": "multipart/form-data; boundary=other"},
                 BadRequest, "damaged", id="form-with-other-boundary"),
    pytest.param(b"x", {"Content-Type": f"multipart/form-data; boundary={'e' * 1000}"},
                 BadRequest, "damaged", id="form-with-endless-boundary"),
    pytest.param(form(FILE + PHOTO, closed=False), FORM, BadRequest, "closing boundary",
                 id="form-cut-off"),
    pytest.param(form(), FORM, BadRequest, "no file", id="form-without-parts"),
    pytest.param(form(FILE + PHOTO, b'Content-Disposition: form-data; name="top_k"\r\n\r\n3'),
                 FORM, BadRequest, "'top_k' is not a file", id="form-with-a-field"),
    pytest.param(form(b"\r\n" + PHOTO), FORM, BadRequest, "not a file", id="part-without-headers"),
    pytest.param(form(b"X: " + b"a" * 100_000 + b"\r\n" + FILE + PHOTO), FORM, BadRequest,
                 "damaged", id="part-with-endless-header"),
    pytest.param(form(FILE), FORM, EmptyBody, "got no bytes", id="form-empty-file"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "kind", "said"), [*BAD_IMAGES, *BAD_BODIES])
def test_a_bad_body_is_refused_with_its_reason_and_the_next_one_is_answered(
    client: httpx.Client, body: bytes, headers: dict[str, str], kind: type[RequestError], said: str
) -> None:
    assert said in assert_problem(predict(client, body, headers), kind)
    answered(predict(client, PHOTO))


def test_a_body_that_is_declared_too_long_is_refused_before_it_is_sent(
    strict: httpx.Client,
) -> None:
    with_length = _begin(strict, {"Content-Length": "100001"})
    assert "100000 bytes" in assert_problem(_finish(with_length), TooManyBytes)
    answered(predict(strict, PHOTO))


def test_a_body_that_turns_out_too_long_is_cut_off(strict: httpx.Client) -> None:
    in_chunks = _begin(strict, {"Transfer-Encoding": "chunked"})
    for _ in range(11):
        in_chunks.send(b"2710\r\n" + bytes(10_000) + b"\r\n")
    assert "100000 bytes" in assert_problem(_finish(in_chunks), TooManyBytes)
    answered(predict(strict, PHOTO))


def test_a_body_that_is_sent_although_it_is_too_long_is_refused(strict: httpx.Client) -> None:
    assert_problem(predict(strict, bytes(5_000_000)), TooManyBytes)
    answered(predict(strict, PHOTO))


@pytest.mark.parametrize("way", ["form", "json"])
def test_more_images_than_allowed_are_refused(strict: httpx.Client, way: str) -> None:
    small = encode(noise(16, 16))
    if way == "form":
        response = predict(strict, form(*[FILE + small] * 4), FORM)
        reason = "More than 3 images in one request."
    else:
        response = predict(strict, json_of(*[small] * 4), JSON)
        reason = "4 images in one request; the maximum is 3."
    assert reason in assert_problem(response, TooManyImages)
    assert len(answered(predict(strict, form(*[FILE + small] * 3), FORM))) == 3


def _begin(client: httpx.Client, headers: dict[str, str]) -> http.client.HTTPConnection:
    """Send the head of a request, and leave its body to the caller."""
    connection = http.client.HTTPConnection(
        client.base_url.host, client.base_url.port, timeout=LIVELINESS_S
    )
    connection.putrequest("POST", "/predict")
    for name, value in {**JPEG, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def _finish(connection: http.client.HTTPConnection) -> httpx.Response:
    """Read the answer to a request whose body is not complete."""
    with connection.getresponse() as raw:
        response = httpx.Response(raw.status, headers=raw.getheaders(), content=raw.read())
    connection.close()
    return response
