"""Images in base64, as JSON carries them."""

import base64
import binascii

from pydantic import ValidationError

from app.errors import BadRequest, TooManyImages
from app.request.messages import PredictBody

SPARE_COMMAS = 16  # so that a body which is only slightly wrong gets a precise error


def read_json(body: bytes, max_images: int) -> list[bytes]:
    """The images of a JSON body.

    Raises:
        BadRequest: it is not JSON of the expected form, or an image is not base64.
        TooManyImages: it has more than `max_images` images.
    """
    # The validation makes an error of a kilobyte for each wrong piece of two bytes. Images are
    # separated by one comma, and a data: URL has one more.
    if body.count(b",") > 2 * max_images + SPARE_COMMAS:
        raise TooManyImages(f"More than {max_images} images in one request.")
    try:
        request = PredictBody.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"])) or "body"
        raise BadRequest(f"{where}: {fault['msg']}") from error
    if len(request.images) > max_images:  # before they are decoded
        raise TooManyImages(
            f"{len(request.images)} images in one request; the maximum is {max_images}."
        )
    return [from_base64(text, f"images.{index}") for index, text in enumerate(request.images)]


def from_base64(text: str, name: str) -> bytes:
    """Decode an image in base64, plain or as a data: URL; `name` says where it stood.

    Raises:
        BadRequest: it is not base64.
    """
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadRequest(f"{name} is a data: URL, but not in base64.")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{name} is not base64: {error}.") from error
