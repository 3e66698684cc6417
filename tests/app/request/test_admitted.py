"""What a request holds while it is answered, and that all of it comes back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import (
    BadQuery,
    DeadlineExceeded,
    EmptyBody,
    Overloaded,
    RequestError,
    SlowBody,
    TooManyBytes,
)
from app.request.admitted import AdmittedRequest
from app.service.gateway import Gateway, open_gateway
from app.settings import Settings
from app.telemetry.record import start_record
from tests.app.inference.test_scheduler import blocked

LIMIT_BYTES = 1024


@pytest.fixture(scope="module")
def gateway(store: Path) -> Iterator[Gateway]:
    opened = open_gateway(
        Settings(store=store, max_body_bytes=LIMIT_BYTES, max_inflight_bytes=2 * LIMIT_BYTES)
    )
    yield opened
    opened.close()


def begin(gateway: Gateway, *headers: tuple[bytes, bytes]) -> AdmittedRequest:
    work = AdmittedRequest(gateway, start_record("POST", "/predict", headers))
    try:
        work.admit(headers)
    except RequestError:
        work.close()
        raise
    return work


def feed(work: AdmittedRequest, chunks: list[bytes]) -> None:
    for chunk in chunks:
        work.take(chunk)


@settings(deadline=None, max_examples=50)
@given(chunks=st.lists(st.binary(max_size=300), max_size=9))
def test_a_body_is_put_together_from_its_chunks_up_to_the_limit(
    gateway: Gateway, chunks: list[bytes]
) -> None:
    work = begin(gateway)
    whole = b"".join(chunks)
    try:
        if len(whole) > LIMIT_BYTES:
            with pytest.raises(TooManyBytes, match=str(LIMIT_BYTES)):
                feed(work, chunks)
        else:
            feed(work, chunks)
            assert gateway.body_quota.held_bytes == len(whole)
            if whole:
                assert work.body() == whole
                assert work.record.body_bytes == len(whole)
            else:
                with pytest.raises(EmptyBody):
                    work.body()
    finally:
        work.close()
    assert gateway.body_quota.held_bytes == 0
    assert gateway.lifecycle.active == 0


def test_a_decompressed_body_counts_in_place_of_the_compressed_one(gateway: Gateway) -> None:
    work = begin(gateway)
    feed(work, [bytes(100)])
    work.hold_instead(900)
    assert gateway.body_quota.held_bytes == 900
    with pytest.raises(Overloaded):
        work.hold_instead(2 * LIMIT_BYTES + 1)
    work.close()
    assert gateway.body_quota.held_bytes == 0


def test_a_body_that_is_declared_too_long_is_refused_unread(gateway: Gateway) -> None:
    with pytest.raises(TooManyBytes):
        begin(gateway, (b"content-length", b"1025"))
    assert gateway.lifecycle.active == 0


@pytest.mark.parametrize("declared", [b"", b"many", b"-1", b"1.5", "٣".encode()])
def test_a_strange_length_is_not_believed(gateway: Gateway, declared: bytes) -> None:
    begin(gateway, (b"content-length", declared)).close()


def test_all_bodies_together_are_limited(gateway: Gateway) -> None:
    works = [begin(gateway) for _ in range(3)]
    works[0].take(b"x" * LIMIT_BYTES)
    works[1].take(b"x" * LIMIT_BYTES)
    with pytest.raises(Overloaded, match="2048"):
        works[2].take(b"x")
    works[0].close()
    works[2].take(b"x")
    for work in works:
        work.close()
    assert gateway.body_quota.held_bytes == 0


@pytest.mark.parametrize(("sent", "deadline_ms"), [(b"1.5", 1.5), (b"1e9", 10_000.0)])
def test_a_request_may_have_less_time_than_the_setting_and_not_more(
    gateway: Gateway, sent: bytes, deadline_ms: float
) -> None:
    work = begin(gateway, (b"x-deadline-ms", sent))
    work.close()
    assert work.deadline_ms == deadline_ms


@pytest.mark.parametrize("sent", [b"0", b"-1", b"nan", b"inf", b"soon", b"", b"\xff"])
def test_an_invalid_deadline_is_refused(gateway: Gateway, sent: bytes) -> None:
    with pytest.raises(BadQuery, match="X-Deadline-Ms"):
        begin(gateway, (b"x-deadline-ms", sent))
    assert gateway.lifecycle.active == 0


def test_images_count_once_they_are_queued_and_not_when_they_are_rejected(
    gateway: Gateway,
) -> None:
    async def run() -> None:
        work = begin(gateway)
        too_many = [lambda _: None] * (gateway.scheduler.permits + 1)
        with pytest.raises(Overloaded):
            work.submit(too_many)
        assert work.record.images == 0
        await work.submit(too_many[:3])
        assert work.record.images == 3
        work.close()

    asyncio.run(run())


def test_a_request_that_ends_with_an_error_gives_up_its_images(store: Path) -> None:
    gateway = open_gateway(Settings(store=store, workers=1, cache=False))
    ran: list[float] = []

    async def run() -> None:
        blocker, first = await blocked(gateway.scheduler)
        work = begin(gateway, (b"x-deadline-ms", b"250"))
        assert isinstance(work.too_late(), SlowBody)  # its images are not there yet
        ticket = work.submit([ran.append] * 3)
        error = work.too_late()
        assert isinstance(error, DeadlineExceeded)
        assert error.detail.startswith("The deadline of 250 ms passed: workers started 0 of 3")
        work.fail(error)
        work.close()
        assert ticket.abandoned
        assert work.record.error == "deadline-exceeded"
        blocker.let_go()
        await first
        await gateway.scheduler.submit([lambda _: None])  # behind them
        assert ran == []

    try:
        asyncio.run(run())
    finally:
        gateway.close()
