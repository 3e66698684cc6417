"""Clients, one or many at once, and images that keep a worker busy."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from threading import Event, Thread

import httpx
import numpy as np
from PIL import Image

from tests.app.pictures import encode, noise
from tests.processes import Service, until

# Takes a fifth of a second to decode when it is decoded in full.
SLOW = {"workers": 1, "reduced_decode": "false"}
SIDE = 4000


@cache
def heavy_image() -> bytes:
    """A progressive JPEG of 16 million pixels."""
    coarse = noise(SIDE // 8, SIDE // 8)
    whole = coarse.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return encode(whole, "JPEG", quality=50, progressive=True)


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
    with ThreadPoolExecutor(requests) as pool:
        yield [pool.submit(classify, service, image) for _ in range(requests)]


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
