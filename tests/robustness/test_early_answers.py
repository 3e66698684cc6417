"""An answer that needs no body reaches clients that send one all the same."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import SIGTERM

import pytest

from app.errors import TooManyBytes
from app.http.lingering_close import MAX_BYTES
from tests.processes import MEASURED, Service, running, until
from tests.robustness.sockets import closed_by_server, connection, head, reply, upload
from tests.robustness.traffic import HOLDING, holding, light_image

PIECE = bytes(65536)
UNKNOWN = "/predict?model=nope"


@pytest.fixture(scope="module")
def usual(store: Path) -> Iterator[Service]:
    with running(store) as service:
        yield service


def early_status(
    service: Service, path: str, expected: int, trust: ssl.SSLContext | None = None
) -> int:
    """Send the body when the answer is on its way, and read that after it, as `urllib` may do."""
    body = bytes(30_000_000 if expected == TooManyBytes.status else 10_000_000)
    logged = f"POST {path.partition('?')[0]} {expected}"

    def answers() -> int:
        return service.log.count(logged)

    before = answers()
    with connection(service) as opened, secured(opened, trust) as channel:
        channel.sendall(head(path, Content_Length=len(body), Connection="close"))
        until(lambda: answers() > before, f"the service answers {expected}")
        channel.sendall(body)
        return reply(channel).status


def secured(opened: socket.socket, trust: ssl.SSLContext | None) -> socket.socket:
    return trust.wrap_socket(opened, server_hostname="127.0.0.1") if trust else opened


def unfinished(path: str) -> bytes:
    return head(path, Content_Length=100_000, Connection="close")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(UNKNOWN, 404, id="unknown-model"),
        pytest.param("/predict?topk=1", 422, id="unknown-parameter"),
        pytest.param("/predict", 413, id="too-large"),
        pytest.param("/v2/models/nope/infer", 404, id="open-inference-protocol"),
        pytest.param("/nothing", 404, id="no-such-path"),
    ],
)
def test_a_client_that_closes_gets_its_early_answer(
    usual: Service, path: str, expected: int
) -> None:
    assert early_status(usual, path, expected) == expected


def test_a_client_that_closes_gets_its_early_answer_over_tls(
    store: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    with running(store, tls_cert=cert, tls_key=key) as service:
        trust = ssl.create_default_context(cafile=str(cert))
        for path in (UNKNOWN, "/v2/models/nope/infer"):
            assert early_status(service, path, 404, trust) == 404


def test_a_client_that_closes_is_told_to_retry_under_overload(store: Path) -> None:
    with (
        running(store, queue_limit=1, max_images=1, **HOLDING) as service,
        holding(service, 3),
    ):
        assert early_status(service, "/predict", 503) == 503


def test_a_head_that_is_too_long_gets_its_answer(usual: Service) -> None:
    with connection(usual) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000_000)
        assert reply(opened).status == 413


def test_a_client_that_falls_silent_is_not_waited_for(store: Path) -> None:
    """Of a body, of what is no HTTP, and by ASGI: each is half closed at once, then wholly."""
    with running(store) as service, ExitStack() as stack:
        before = _sockets(service)
        for sent in (unfinished(UNKNOWN), unfinished("/nothing"), b"\x16\x03\x01\x02\r\n\r\n"):
            opened = stack.enter_context(connection(service))
            opened.sendall(sent + b"x")
            assert reply(opened).status in (400, 404)
            assert closed_by_server(opened)
        until(lambda: _sockets(service) == before, "the service closed its ends")


def test_no_more_than_so_many_bytes_are_thrown_away(usual: Service) -> None:
    with connection(usual) as opened:
        opened.sendall(head(UNKNOWN, Transfer_Encoding="chunked", Connection="close"))
        assert reply(opened).status == 404
        sent_bytes = 0
        with suppress(ConnectionError):
            while sent_bytes < 4 * MAX_BYTES:
                opened.sendall(b"10000\r\n" + PIECE + b"\r\n")
                sent_bytes += len(PIECE)
        assert sent_bytes < 4 * MAX_BYTES


def test_nothing_is_done_for_what_comes_behind_a_request_that_closes(store: Path) -> None:
    with running(store, max_body_bytes=10_000) as service, connection(service) as opened:
        opened.sendall(upload(bytes(10_001)) + upload(light_image()))
        assert reply(opened).status == 413
        assert closed_by_server(opened)
        assert service.metric("gateway_requests_total", route="/predict") == 1


def test_a_stop_waits_for_nobody_who_has_an_answer(store: Path) -> None:
    with running(store, **MEASURED) as service, connection(service) as opened:
        opened.sendall(unfinished(UNKNOWN))
        assert reply(opened).status == 404
        service.signal(SIGTERM)
        assert service.wait() == 0
        assert "Shutting down: 0 requests" in service.log
        assert "exceeded" not in service.log


def _sockets(service: Service) -> int:
    """How many sockets the service has open."""
    links = Path(f"/proc/{service.pid}/fd").iterdir()
    count = 0
    for link in links:
        with suppress(FileNotFoundError):
            count += link.readlink().name.startswith("socket:")
    return count
