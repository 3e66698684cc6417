"""The calls of /heads as steps, as `_exchange` explains."""

import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mobilenet_gateway_client._calls import bodies, info, is_about_the_image, multipart, try_encode
from mobilenet_gateway_client._errors import NotAGateway, Problem, UnreadableImage
from mobilenet_gateway_client._exchange import Call, Send, Steps, Wait, exchange
from mobilenet_gateway_client._images import ImageSource, encode
from mobilenet_gateway_client._pace import GROUP_IMAGES
from mobilenet_gateway_client._retry import Retry
from mobilenet_gateway_client._teaching.records import (
    Example,
    TaughtHead,
    TrainingReport,
    to_examples,
)

AGAIN_S = 0.5  # between two attempts to train while another training runs
CANNOT_BE_TOGETHER = (413, 504)  # too large or too slow as one request


def heads(retry: Retry) -> Steps[list[TaughtHead]]:
    def parse(sent: Any) -> list[TaughtHead]:
        return [TaughtHead.parse(row) for row in sent["heads"]]

    return exchange(Send("GET", "/heads"), retry, parse)


def head(name: str, retry: Retry) -> Steps[TaughtHead]:
    return exchange(Send("GET", _path(name)), retry, TaughtHead.parse)


def add_one(
    name: str, label: str, source: ImageSource, base: str | None, retry: Retry
) -> Steps[Example]:
    """Add one image and raise its error."""
    image: bytes = yield Call(lambda: encode(source))
    [added] = yield from _send_images(name, label, [image], base, retry)
    return added


def add_several(
    name: str, label: str, sources: Sequence[ImageSource], base: str | None, retry: Retry
) -> Steps[list[Example]]:
    """Add images, a few with each request; the error of an image is in its example."""
    gateway = yield from info(retry)
    together = max(1, min(GROUP_IMAGES, int(gateway.settings.get("max_images", 1))))
    found: list[Example] = []
    for begin in range(0, len(sources), together):
        group = sources[begin : begin + together]
        found += yield from _add_group(name, label, group, base, retry)
    return found


def train(name: str, wait_s: float, retry: Retry) -> Steps[TrainingReport]:
    """Train, once no other training runs: one of this head may be this one, after a lost answer."""
    end_s = time.monotonic() + wait_s
    while True:
        left_s = max(AGAIN_S, end_s - time.monotonic())
        request = Send("POST", _path(name, "train"), timeout_s=left_s)
        try:
            return (yield from exchange(request, retry, TrainingReport.parse))
        except Problem as problem:
            if problem.type != "training" or time.monotonic() + AGAIN_S > end_s:
                raise
        yield Wait(AGAIN_S)


def undo(name: str, retry: Retry) -> Steps[TrainingReport]:
    return exchange(Send("POST", _path(name, "undo")), retry, TrainingReport.parse)


def relabel(name: str, example_id: str, label: str, retry: Retry) -> Steps[Example]:
    path = _path(name, "examples", example_id)
    headers, body = {"Content-Type": "application/json"}, json.dumps({"label": label})
    return exchange(Send("PATCH", path, {}, headers, body.encode()), retry, Example.parse)


def image(name: str, example_id: str, retry: Retry) -> Steps[bytes]:
    return _download(_path(name, "examples", example_id), retry)


def file(name: str, retry: Retry) -> Steps[bytes]:
    return _download(_path(name, "head.npz"), retry)


def delete_example(name: str, example_id: str, retry: Retry) -> Steps[None]:
    return _delete(_path(name, "examples", example_id), retry)


def delete_label(name: str, label: str, retry: Retry) -> Steps[None]:
    return _delete(_path(name, "labels", label), retry)


def delete_head(name: str, retry: Retry) -> Steps[None]:
    return _delete(_path(name), retry)


def _download(path: str, retry: Retry) -> Steps[bytes]:
    return exchange(Send("GET", path), retry, bytes, lambda reply: reply.content)


def _delete(path: str, retry: Retry) -> Steps[None]:
    return exchange(Send("DELETE", path), retry, lambda _: None, lambda reply: reply.content)


def _path(*names: str) -> str:
    return "/".join(("/heads", *(quote(name, safe="") for name in names)))


def _add_group(
    name: str, label: str, sources: Sequence[ImageSource], base: str | None, retry: Retry
) -> Steps[list[Example]]:
    encoded: list[bytes | UnreadableImage] = yield Call(lambda: [*map(try_encode, sources)])
    added: list[Example] = []
    for body in bodies([one for one in encoded if isinstance(one, bytes)]):
        added += yield from _add_body(name, label, body, base, retry)
    answers = iter(added)
    return [
        next(answers) if isinstance(one, bytes) else Example(label, error=one) for one in encoded
    ]


def _add_body(
    name: str, label: str, images: Sequence[bytes], base: str | None, retry: Retry
) -> Steps[list[Example]]:
    """Add images with one request; one by one what did not work together.

    Images that were kept before are recognised.

    Raises:
        Problem: about another thing than one of the images.
    """
    found: list[Example | None] = [None] * len(images)
    try:
        found = [*(yield from _send_images(name, label, images, base, retry))]
    except Problem as problem:
        if len(images) == 1 and is_about_the_image(problem):
            return [Example(label, error=problem)]
        if len(images) == 1 or not (
            is_about_the_image(problem) or problem.status in CANNOT_BE_TOGETHER
        ):
            raise
    rows: list[Example] = []
    for data, row in zip(images, found, strict=True):
        error = row.error if row else None
        if row is None or (isinstance(error, Problem) and error.status == 503):
            rows += yield from _add_body(name, label, [data], base, retry)
        elif isinstance(error, Problem) and not is_about_the_image(error):
            raise error
        else:
            rows.append(row)
    return rows


def _send_images(
    name: str, label: str, images: Sequence[bytes], base: str | None, retry: Retry
) -> Steps[list[Example]]:
    content_type, content = multipart(images)
    query = {} if base is None else {"base": base}
    request = Send(
        "POST", _path(name, "examples", label), query, {"Content-Type": content_type}, content
    )
    found = yield from exchange(request, retry, lambda sent: to_examples(sent, label))
    if len(found) != len(images):
        raise NotAGateway(f"{len(found)} examples came back for {len(images)} images.")
    return found
