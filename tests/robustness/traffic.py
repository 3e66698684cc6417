"""Clients, one or many at once, and images that keep a worker busy."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import count
from select import select
from socket import socket
from threading import Event, Thread

import httpx
import numpy as np
from PIL import Image

from loadtest.robustness.structured_images.chunks import png
from loadtest.robustness.structured_images.jpeg import jpeg
from tests.app.sample_images import encode, noise
from tests.processes import Service, metric_of, until
from tests.robustness.sockets import connection, head, reply

# Each image alone in its batch holds its worker for a second, without processor time.
HOLDING = {"workers": 2, "batch_max": 2, "batch_window_ms": 1000, "deadline_ms": 10_000_000}
ONE_WORKER = {"workers": 1, "deadline_ms": 10_000_000}  # which may be slow
SIDE = 6300  # 39.7 million pixels: just under what is accepted


@cache
def busy_image() -> bytes:
    """A PNG that keeps a worker for about as long as an image may, in one packet.

    Its rows are filtered by Paeth, which takes longest.
    """
    return png(1000, 1100, depth=16, colour=6, row_filter=4)


@cache
def slow_image() -> bytes:
    """A lossless WebP that takes the helper process a second and fits into one packet.

    So however busy the machine is, many of them arrive long before the first is done.
    """
    return encode(Image.new("RGB", (SIDE, SIDE), (120, 60, 30)), "WEBP", lossless=True)


@cache
def endless_image() -> bytes:
    """A JPEG of 2.2 MB that takes ten minutes to decode without a limit."""
    return jpeg(6320, 6320, scans=[(1 + n % 3,) for n in range(200_000)])


@cache
def large_image() -> bytes:
    """A PNG of three megabytes, which is decoded at once."""
    return encode(noise(1000, 1000), "PNG")


@cache
def light_image() -> bytes:
    return encode(Image.fromarray(np.full((96, 128, 3), 127, np.uint8)))


def classify(
    service: Service, image: bytes, model: str | None = None, **headers: str
) -> httpx.Response:
    sent = {"Content-Type": "image/jpeg"} | headers
    query = {"model": model} if model else {}
    with service.client() as client:
        return client.post("/predict", content=image, headers=sent, params=query)


@contextmanager
def many(service: Service, image: bytes, requests: int) -> Iterator[list[Future[httpx.Response]]]:
    """Requests that are all sent at once; waits for them at the end."""
    service.metric("gateway_permits_in_use")  # loads the routes, which takes a while
    with ThreadPoolExecutor(requests) as pool:
        yield [pool.submit(classify, service, image) for _ in range(requests)]


@contextmanager
def holding(service: Service, requests: int) -> Iterator[list[socket]]:
    """Requests to a service with the settings `HOLDING`, which hold its workers and its queue.

    All are there when the block begins. They are sent on connections that are open already, and
    again if the first was answered before the last was there, as on a slow machine.
    """
    with ExitStack() as stack:
        client = stack.enter_context(service.client())
        client.get("/metrics")  # loads the routes, as in `many`
        opened = [stack.enter_context(connection(service)) for _ in range(requests)]

        def all_there() -> bool:
            return metric_of(client.get("/metrics").text, "gateway_permits_in_use") >= requests

        def answered() -> bool:
            return bool(select(opened, [], [], 0)[0])

        while True:
            for number, each in enumerate(opened):
                # Images of different resolutions make no batch together.
                path, image = f"/predict?resolution={160 + 32 * number}", light_image()
                each.sendall(head(path, Content_Length=len(image)) + image)
            until(lambda: all_there() or answered(), f"{requests} images are there")
            if not answered():
                break
            for each in opened:
                reply(each)
        yield opened


def busy(service: Service, images: int) -> None:
    """Wait until so many images wait or are worked on."""
    until(lambda: service.metric("gateway_permits_in_use") >= images, f"{images} images are there")


@contextmanager
def load(
    service: Service, models: tuple[str, ...] = (), clients: int = 3
) -> Iterator[Counter[str]]:
    """Clients that ask without pause; how many requests had which status or error."""
    seen: Counter[str] = Counter()
    stop = Event()
    threads = [Thread(target=partial(_ask, service, models, seen, stop)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: seen.total() >= clients, "all clients ask")
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask(service: Service, models: tuple[str, ...], seen: Counter[str], stop: Event) -> None:
    with service.client() as client:
        for number in count():
            if stop.is_set():
                return
            query = {"model": models[number % len(models)]} if models else {}
            try:
                response = client.post(
                    "/predict",
                    content=light_image(),
                    headers={"Content-Type": "image/jpeg"},
                    params=query,
                )
            except httpx.HTTPError as error:
                seen[type(error).__name__] += 1
                return
            seen[str(response.status_code)] += 1
