"""Streams of images: how many are in flight, and which answers outlast a failure."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobilenet_gateway_client import AsyncClient, Client, ClientError, Options, Problem
from mobilenet_gateway_client._calls import bodies
from mobilenet_gateway_client._pace import pace
from mobilenet_gateway_client._results import Info

from tests.app.sample_images import encode, noise
from tests.client.clients import NEVER, Do
from tests.client.scripted import GOOD, INFO, Reply, scripted
from tests.conftest import SMALL_V2


def test_no_more_of_a_stream_is_read_than_is_in_flight(url: str) -> None:
    taken = 0

    def images() -> Any:
        nonlocal taken
        for seed in range(1000):
            taken += 1
            yield encode(noise(40, 40, seed))

    with Client(url, concurrency=2) as client:
        answers = client.classify_each(images())
        next(answers)
        answers.close()
    assert taken <= 2 * 8


def test_a_stream_is_asked_for_with_options(url: str) -> None:
    options = Options(model=SMALL_V2, top_k=2)

    async def ask() -> list[Any]:
        async with AsyncClient(url) as client:
            return [one async for _, one in client.classify_each([encode(noise())], options)]

    with Client(url) as client:
        answers = [one for _, one in client.classify_each([encode(noise())], options)]
    for found in (*answers, *asyncio.run(ask())):
        assert (found.model, len(found.predictions)) == (SMALL_V2, 2)


async def _collected(url: str, images: list[bytes]) -> tuple[list[Any], ClientError | None]:
    """What the client with an event loop gives of a stream, and what ended it."""
    found = []
    async with AsyncClient(url, retry=NEVER, concurrency=2) as client:
        try:
            async for pair in client.classify_each(images):
                found.append(pair)
        except ClientError as error:
            return found, error
    return found, None


def collected_sync(url: str, images: list[bytes]) -> tuple[list[Any], ClientError | None]:
    found = []
    with Client(url, retry=NEVER, concurrency=2) as client:
        try:
            for pair in client.classify_each(images):
                found.append(pair)
        except ClientError as error:
            return found, error
    return found, None


def collected_async(url: str, images: list[bytes]) -> tuple[list[Any], ClientError | None]:
    return asyncio.run(_collected(url, images))


@pytest.mark.parametrize("collect", [collected_sync, collected_async])
def test_the_answers_of_other_requests_are_kept_when_one_fails(collect: Do) -> None:
    slow = replace(GOOD, after_requests=3)
    with scripted([INFO, slow, Reply(502, {})]) as script:
        found, error = collect(script.url, [b"x", b"y", b"z"])
    assert [one.label for _, one in found] == [GOOD.body["results"][0]["predictions"][0]["label"]]
    assert isinstance(error, Problem)
    assert len(script.seen) == 3  # nothing is begun any more


@given(
    workers=st.integers(1, 256),
    queue_limit=st.integers(1, 4096),
    max_images=st.integers(1, 1000),
    asked=st.none() | st.integers(1, 256),
    gateways=st.integers(1, 5),
)
def test_a_client_leaves_half_of_the_queue_to_others(
    workers: int, queue_limit: int, max_images: int, asked: int | None, gateways: int
) -> None:
    settings = {"queue_limit": queue_limit, "max_images": max_images}
    found = pace([Info("", workers, (), "", "", settings)] * gateways, asked)
    assert found.images >= 1 <= found.requests
    assert found.images <= max_images
    if asked is None:
        assert found.images * found.requests <= gateways * max(1, queue_limit // 2)
    else:
        assert found.requests == asked


@pytest.mark.parametrize(
    ("workers", "queue_limit", "asked", "requests", "images"),
    [
        pytest.param(1, 64, None, 2, 8, id="one worker"),
        pytest.param(4, 64, None, 5, 6, id="half of the queue"),
        pytest.param(16, 1024, None, 17, 8, id="many workers"),
        pytest.param(4, 1, None, 1, 1, id="no queue"),
        pytest.param(4, 64, 1, 1, 8, id="one by one"),
        pytest.param(4, 64, 16, 16, 2, id="as asked"),
    ],
)
def test_one_request_more_than_workers_with_eight_images_each(
    workers: int, queue_limit: int, asked: int | None, requests: int, images: int
) -> None:
    info = Info("", workers, (), "", "", {"queue_limit": queue_limit, "max_images": 32})
    found = pace([info], asked)
    assert (found.requests, found.images) == (requests, images)


def test_a_body_of_several_images_has_at_most_four_megabytes() -> None:
    sizes = [3 * 2**20, 2**20, 1, 5 * 2**20, 1, 4 * 2**20]
    split = [[len(image) for image in body] for body in bodies([bytes(n) for n in sizes])]
    assert split == [[3 * 2**20, 2**20], [1], [5 * 2**20], [1], [4 * 2**20]]
