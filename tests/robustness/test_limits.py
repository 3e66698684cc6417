"""What a hostile or unlucky client sends is cut off while it streams in."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest

from app.errors import BadRequest, Overloaded, RequestError, SlowBody, TooManyBytes
from app.problem import MEDIA_TYPE
from app.service.slow_bodies import PATIENCE_S
from tests.app.problems import assert_problem
from tests.processes import Service, running, until
from tests.robustness.sockets import (
    Reply,
    closed_by_server,
    connection,
    head,
    reply,
    send_until_answered,
    upload,
)
from tests.robustness.traffic import classify, large_image, light_image

MAX_BODY_BYTES = 1_000_000
FLAT_BYTES = 16 * 2**20
FLOOD_BYTES = 256 * 2**20


@pytest.fixture(scope="module")
def strict(store: Path) -> Iterator[Service]:
    """A service that gives up soon."""
    settings = {"deadline_ms": 1500, "lone_image_threads": 1, "measure_s": 0}
    with running(store, max_body_bytes=MAX_BODY_BYTES, **settings) as service:
        until(lambda: classify(service, light_image()).status_code == 200, "it answers in time")
        assert service.metric("gateway_inflight_body_bytes") == 0  # loads the routes
        yield service


def problem(found: Reply, kind: type[RequestError]) -> str:
    """Check an answer read by hand; its detail."""
    headers = {"content-type": found.headers["content-type"]}
    return assert_problem(httpx.Response(found.status, headers=headers, content=found.body), kind)


def test_an_endless_chunked_body_is_cut_off_and_memory_stays_flat(strict: Service) -> None:
    before = strict.resident_bytes
    for _ in range(5):
        with connection(strict) as opened:
            opened.sendall(head(Transfer_Encoding="chunked"))
            sent = send_until_answered(opened, b"10000\r\n" + bytes(65536) + b"\r\n", FLOOD_BYTES)
            problem(reply(opened), TooManyBytes)
            assert sent < FLOOD_BYTES
    assert strict.resident_bytes - before < FLAT_BYTES


@pytest.mark.unmeasured
def test_a_body_in_tiny_chunks_takes_no_more_memory_than_is_accounted_for(store: Path) -> None:
    size_bytes = 2_000_000
    settings = {"deadline_ms": 1_000_000, "lone_image_threads": 1, "measure_s": 0}
    with running(store, **settings) as service, connection(service) as opened:
        assert classify(service, light_image()).status_code == 200
        assert service.metric("gateway_inflight_body_bytes") == 0  # loads the routes
        before = service.resident_bytes
        opened.sendall(head(Transfer_Encoding="chunked") + b"2\r\nab\r\n" * (size_bytes // 2))
        held = "gateway_inflight_body_bytes"
        until(lambda: service.metric(held) == size_bytes, "the body is in memory")
        assert service.resident_bytes - before < FLAT_BYTES


def test_a_body_in_chunks_large_and_small_is_put_together(store: Path) -> None:
    image, sizes, at = large_image(), cycle((3, 5000, 1, 1, 40_000, 4095, 4096)), 0
    with running(store) as service, connection(service) as opened:
        opened.sendall(head(Transfer_Encoding="chunked"))
        while at < len(image):
            piece = image[at : at + next(sizes)]
            opened.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            at += len(piece)
        opened.sendall(b"0\r\n\r\n")
        assert reply(opened).status == 200


def test_a_declared_length_beyond_the_limit_is_refused_before_the_body(strict: Service) -> None:
    with connection(strict) as opened:
        opened.sendall(head(Content_Length=10_000_000_000))
        detail = problem(reply(opened), TooManyBytes)
    assert str(MAX_BODY_BYTES) in detail


def test_a_body_that_trickles_gets_a_408_at_the_deadline(strict: Service) -> None:
    with connection(strict) as opened:
        opened.sendall(head(Content_Length=1000) + b"\xff\xd8\xff")
        found = reply(opened)
        problem(found, SlowBody)
        assert found.headers["connection"] == "close"
        assert closed_by_server(opened)


@pytest.mark.parametrize("start", [b"", b"G", b"POST /predict HTTP/1.1\r\nHost: x\r\nA: b"])
def test_a_head_that_does_not_come_closes_the_connection(strict: Service, start: bytes) -> None:
    with connection(strict) as opened:
        opened.sendall(start)
        assert closed_by_server(opened)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"GET /", b"a" * 65536, id="path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n" * 10_000, id="many-headers"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a" * 65536, id="long-header"),
    ],
)
def test_an_endless_head_is_cut_off_and_memory_stays_flat(
    strict: Service, start: bytes, piece: bytes
) -> None:
    before = strict.resident_bytes
    with connection(strict) as opened:
        opened.sendall(start)
        send_until_answered(opened, piece, FLOOD_BYTES)
        problem(reply(opened), TooManyBytes)
        assert closed_by_server(opened)
    assert strict.resident_bytes - before < FLAT_BYTES


@pytest.mark.parametrize("before", [b"", upload(light_image())], ids=["alone", "behind-another"])
def test_a_head_that_is_too_long_is_refused_even_if_it_comes_at_once(
    strict: Service, before: bytes
) -> None:
    long = head("/healthz", "GET", A="a" * 70_000)
    with connection(strict) as opened, opened.makefile("rb") as answers:
        opened.sendall(before + long)
        statuses = [_status(answers) for _ in range(1 + bool(before))]
    assert statuses == [200, 413][-len(statuses) :]


@pytest.mark.parametrize("behind", [b"", bytes(100_000)], ids=["alone", "with-a-body"])
def test_a_long_head_within_the_limit_is_taken(strict: Service, behind: bytes) -> None:
    with connection(strict) as opened:
        sent = head("/healthz", "GET", A="a" * 60_000, Content_Length=len(behind))
        opened.sendall(sent + behind)
        assert reply(opened).status == 200


def test_endless_trailers_end_the_connection(strict: Service) -> None:
    before = strict.resident_bytes
    with connection(strict) as opened:
        opened.sendall(head(Transfer_Encoding="chunked") + b"3\r\nabc\r\n0\r\nA: ")
        assert send_until_answered(opened, b"a" * 65536, FLOOD_BYTES) < FLOOD_BYTES
    assert strict.resident_bytes - before < FLAT_BYTES


def test_pipelined_requests_are_answered_in_order(strict: Service) -> None:
    paths = ["/healthz", "/nothing", "/readyz", "/healthz"]
    with connection(strict) as opened, opened.makefile("rb") as answers:
        opened.sendall(b"".join(head(path, "GET") for path in paths) + upload(light_image()))
        statuses = [_status(answers) for _ in range(len(paths) + 1)]
    assert statuses == [200, 404, 200, 200, 200]


def test_a_flood_of_pipelined_requests_does_not_fill_the_memory(strict: Service) -> None:
    before = strict.resident_bytes
    with connection(strict) as opened:
        for _ in range(100):
            try:
                opened.sendall(head("/healthz", "GET") * 1000)
            except ConnectionError:
                break
    until(lambda: classify(strict, light_image()).status_code == 200, "it answers others")
    assert strict.resident_bytes - before < FLAT_BYTES


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(99), id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http2"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n", id="header-without-colon"),
        pytest.param(b"GET /mod\xc3\xa9ls HTTP/1.1\r\nHost: x\r\n\r\n", id="path-not-ascii"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", id="connect"),
        pytest.param(head(Content_Length="1e3"), id="length-not-a-number"),
        pytest.param(head(Content_Length=3, Transfer_Encoding="chunked"), id="smuggling"),
        pytest.param(
            head(Content_Length=3, Connection="Upgrade", Upgrade="h2c") + b"abc", id="upgrade"
        ),
    ],
)
def test_what_is_not_http_is_refused_with_a_problem(strict: Service, sent: bytes) -> None:
    with connection(strict) as opened:
        opened.sendall(sent)
        found = reply(opened)
        assert found.headers["content-type"] == MEDIA_TYPE
        problem(found, BadRequest)
        assert closed_by_server(opened)


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([upload(light_image())], id="on-the-connection"),
        pytest.param([head("/healthz", "GET")], id="by-asgi"),
        pytest.param([upload(light_image()), head("/healthz", "GET")], id="pipelined"),
    ],
)
def test_junk_behind_requests_is_refused_behind_their_answers(
    strict: Service, requests: list[bytes]
) -> None:
    with connection(strict) as opened, opened.makefile("rb") as answers:
        opened.sendall(b"".join(requests) + b"junk\r\n\r\n")
        statuses = [_status(answers) for _ in range(len(requests) + 1)]
        assert statuses == [200] * len(requests) + [400]
        assert answers.read() == b""


def test_junk_in_a_body_that_has_its_answer_gets_no_other(strict: Service) -> None:
    with connection(strict) as opened:
        opened.sendall(head("/predict?model=nope", Transfer_Encoding="chunked"))
        assert reply(opened).status == 404
        opened.sendall(b"junk\r\n\r\n")
        assert closed_by_server(opened)


def test_an_offer_to_upgrade_is_passed_over(strict: Service) -> None:
    with connection(strict) as opened:
        opened.sendall(head("/healthz", "GET", Connection="Upgrade", Upgrade="h2c"))
        assert reply(opened).status == 200


def test_hundreds_of_idle_connections_keep_nobody_out(strict: Service) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connection(strict))
        assert classify(strict, light_image()).status_code == 200


def test_bodies_beyond_the_bytes_in_flight_get_a_503_until_others_are_done(
    store: Path,
) -> None:
    image = light_image()
    limits = {"max_body_bytes": MAX_BODY_BYTES, "max_inflight_bytes": MAX_BODY_BYTES}
    with running(store, **limits) as service:
        with connection(service) as opened:
            began = time.monotonic()
            opened.sendall(upload(image + bytes(MAX_BODY_BYTES - len(image)))[:-9])
            held = "gateway_inflight_body_bytes"
            until(lambda: service.metric(held) > 900_000, "the body is in memory")
            refused = classify(service, bytes(200_000))
            assert_problem(refused, Overloaded)
            assert int(refused.headers["retry-after"]) >= 1
            if time.monotonic() - began < PATIENCE_S:  # later it may have made room
                opened.sendall(bytes(9))
                assert reply(opened).status == 200
        until(lambda: service.metric(held) == 0, "the body is gone")
        assert classify(service, bytes(200_000)).status_code == 400


def _status(answers: BinaryIO) -> int:
    """Read one answer from a stream of them; its status."""
    lines = iter(answers.readline, b"\r\n")
    status = int(next(lines).split()[1])
    headers = dict(line.lower().split(b": ") for line in lines)
    answers.read(int(headers[b"content-length"]))
    return status
