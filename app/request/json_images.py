"""The images of a JSON body: `{"images": ...}`, or TensorFlow Serving's `{"instances": ...}`."""

import re
from typing import NoReturn

from app.errors import BadRequest, RequestError, TooManyImages
from app.request.base64_image import from_base64
from app.request.json_text import JsonLimits, JsonStructure, read_model
from app.request.messages import InstancesBody, PredictBody

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SPARE = 16  # so that a body which is only slightly wrong gets a precise error
_INSTANCES = re.compile(rb'\s*\{\s*"(instances|signature_name)"')
_NUMBERS = re.compile(rb'"(?:images|instances)"\s*:\s*\[[\s\[]*-?[0-9]')
_TEXTS = re.compile(rb'"(?:images|instances)"\s*:\s*\[\s*["{]')
_NODE_BUFFER = re.compile(rb'"type"\s*:\s*"Buffer"')


def read_json(body: bytes, max_images: int) -> list[bytes | RequestError]:
    """The images of a JSON body; if one of several is not base64, its error stands in its place.

    Raises:
        BadRequest: the body is not JSON of the expected form, or its only image is not base64.
        TooManyImages: it has more than `max_images` images.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    # Images are separated by one comma, a data: URL has one more, and each may be an object.
    limits = JsonLimits(
        commas=2 * max_images + SPARE,
        lists=SPARE,
        objects=max_images + SPARE,
        quotes=4 * (max_images + SPARE),
    )
    try:
        JsonStructure(limits).add(body)
    except BadRequest:
        _reject_long(body, max_images)
    if _INSTANCES.match(body):
        instances = read_model(InstancesBody, body).instances
        texts, field = [instance.b64 for instance in instances], "instances"
    else:
        texts, field = read_model(PredictBody, body).images, "images"
    if len(texts) > max_images:  # before they are decoded
        raise TooManyImages(f"{len(texts)} images in one request; the maximum is {max_images}.")
    images = [_image(text, f"{field}.{index}") for index, text in enumerate(texts)]
    if len(images) == 1 and isinstance(images[0], RequestError):
        raise images[0]
    return images


def _image(text: str, name: str) -> bytes | RequestError:
    try:
        return from_base64(text, name)
    except BadRequest as error:
        return error


def _reject_long(body: bytes, max_images: int) -> NoReturn:
    """Say what is wrong with a body of far too many pieces, without parsing it."""
    start = body[:4096]
    if not start.lstrip().startswith(b"{"):
        raise BadRequest(
            "The body is not a JSON object. Send a raw image with its own content type, such as "
            "image/jpeg."
        )
    if _NODE_BUFFER.search(start):
        raise BadRequest(
            "images: expected base64 text, not a Node.js Buffer. "
            "Send `buffer.toString('base64')` of an image file."
        )
    if _NUMBERS.search(start):
        raise BadRequest(
            "images: expected base64 text of an image file, not an array of pixels. "
            "/v2/models/NAME/infer takes pixels as a UINT8 tensor."
        )
    if _TEXTS.search(start):
        raise TooManyImages(f"More than {max_images} images in one request.")
    raise BadRequest('Expected {"images": ["<base64>", ...]}.')
