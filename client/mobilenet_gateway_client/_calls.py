"""The calls of the API as steps, as `_exchange` explains."""

import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mobilenet_gateway_client._errors import (
    DeadlineExceeded,
    ImageProblem,
    NotAGateway,
    Problem,
    UnreadableImage,
)
from mobilenet_gateway_client._exchange import Call, Send, Steps, exchange
from mobilenet_gateway_client._images import ImageSource, encode
from mobilenet_gateway_client._options import Options
from mobilenet_gateway_client._results import (
    Classification,
    Info,
    LayerTable,
    Model,
    to_classifications,
)
from mobilenet_gateway_client._retry import Retry

BODY_BYTES = 4 * 2**20  # the target for a body of several images; half of a small board's buffers
RAW_IMAGE = "application/octet-stream"


def info(retry: Retry) -> Steps[Info]:
    return exchange(Send("GET", "/info"), retry, Info.parse)


def models(retry: Retry) -> Steps[list[Model]]:
    def parse(sent: Any) -> list[Model]:
        return [Model.parse(row) for row in sent["models"]]

    return exchange(Send("GET", "/models"), retry, parse)


def layers(model: str, resolution: int | None, retry: Retry) -> Steps[LayerTable]:
    query = {} if resolution is None else {"resolution": str(resolution)}
    request = Send("GET", f"/models/{quote(model, safe='')}/layers", query)
    return exchange(request, retry, LayerTable.parse)


def classify_one(source: ImageSource, options: Options, retry: Retry) -> Steps[Classification]:
    """Classify one image and raise its error."""
    image: bytes = yield Call(lambda: encode(source))
    [found] = yield from _predict([image], options, retry)
    return found


def classify_group(
    sources: Sequence[ImageSource], options: Options, retry: Retry
) -> Steps[list[Classification]]:
    """Classify several images; the error of an image is in its classification."""
    encoded: list[bytes | UnreadableImage] = yield Call(
        lambda: [try_encode(source) for source in sources]
    )
    found: list[Classification] = []
    for body in bodies([image for image in encoded if isinstance(image, bytes)]):
        found += yield from _classify_body(body, options, retry)
    answers = iter(found)
    return [
        next(answers) if isinstance(image, bytes) else _failed(image, options) for image in encoded
    ]


def _classify_body(
    images: Sequence[bytes], options: Options, retry: Retry
) -> Steps[list[Classification]]:
    """Classify images in one request, or one by one if the request as a whole is rejected."""
    try:
        return (yield from _predict(images, options, retry))
    except Problem as problem:
        if len(images) == 1:
            if is_about_the_image(problem):
                return [_failed(problem, options)]
            raise
        if not (is_about_the_image(problem) or problem.status == 413):
            raise
    found = []
    for image in images:
        found += yield from _classify_body([image], options, retry)
    return found


def is_about_the_image(problem: Problem) -> bool:
    """Whether another image could succeed; a 500 may be due to this image."""
    return isinstance(problem, ImageProblem | DeadlineExceeded) or problem.status == 500


def _failed(error: Problem | UnreadableImage, options: Options) -> Classification:
    return Classification(options.model or "", options.resolution or 0, error=error)


def try_encode(source: ImageSource) -> bytes | UnreadableImage:
    try:
        return encode(source)
    except UnreadableImage as error:
        return error


def bodies(images: Sequence[bytes]) -> list[list[bytes]]:
    """Images in order, split into bodies of at most `BODY_BYTES` or a single image."""
    bodies: list[list[bytes]] = []
    total = 0
    for image in images:
        if not bodies or total + len(image) > BODY_BYTES:
            bodies.append([])
            total = 0
        bodies[-1].append(image)
        total += len(image)
    return bodies


def _predict(
    images: Sequence[bytes], options: Options, retry: Retry
) -> Steps[list[Classification]]:
    content_type, content = (RAW_IMAGE, images[0]) if len(images) == 1 else multipart(images)
    headers = {"Content-Type": content_type, **options.headers()}
    request = Send("POST", "/predict", options.query(), headers, content)
    found = yield from exchange(request, retry, to_classifications)
    if len(found) != len(images):
        raise NotAGateway(f"{len(found)} results came back for {len(images)} images.")
    return found


def multipart(images: Sequence[bytes]) -> tuple[str, bytes]:
    """Content type and body of a form; 128 random bits do not occur in an image by chance."""
    boundary = secrets.token_hex(16)
    parts = []
    for number, image in enumerate(images):
        head = f'Content-Disposition: form-data; name="{number}"; filename="{number}"'
        parts += [f"--{boundary}\r\n{head}\r\n\r\n".encode(), image, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)
