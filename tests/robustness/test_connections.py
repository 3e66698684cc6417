"""Clients that hold connections, read nothing or say half of what they have to."""

import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from app.errors import (
    BadRequest,
    Overloaded,
    RequestError,
    SlowBody,
    UnsupportedTransferCoding,
)
from tests.app.problems import assert_problem
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, MEASURED, Service, running, until
from tests.robustness.sockets import closed_by_server, connection, head, reply, upload
from tests.robustness.traffic import classify, light_image

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nX: "
LARGE_ANSWER = head("/openapi.json", "GET")
# No second session: it would be opened while a test measures memory.
PATIENT = {"deadline_ms": 10_000_000, "measure_s": 0, "lone_image_threads": 1}


@pytest.fixture(scope="module")
def patient(store: Path) -> Iterator[Service]:
    """A service whose time limits no test reaches."""
    with running(store, **PATIENT) as service:
        service.metric("gateway_permits_in_use")  # loads the routes, which takes memory
        yield service


def sockets(service: Service) -> int:
    """Connections and listening sockets of the service."""
    links = Path(f"/proc/{service.pid}/fd").iterdir()
    return sum(path.is_symlink() and str(path.readlink()).startswith("socket") for path in links)


@contextmanager
def not_reading(service: Service, requests: int = 200) -> Iterator[socket.socket]:
    """A client that asks for more than fits all buffers, and reads nothing.

    The service is answering it from the beginning of the block on.
    """
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(LIVELINESS_S)
        opened.connect(("127.0.0.1", service.port))
        opened.setblocking(False)
        left = LARGE_ANSWER * requests
        while left:
            try:
                left = left[opened.send(left) :]
            except BlockingIOError:
                break
        opened.settimeout(LIVELINESS_S)
        assert opened.recv(1, socket.MSG_PEEK)
        yield opened


# --- how many


def test_idle_connections_make_room_for_new_ones(store: Path) -> None:
    with running(store, max_connections=8, **PATIENT) as service, ExitStack() as stack:
        idle = [stack.enter_context(connection(service)) for _ in range(8)]
        for opened in idle:
            opened.sendall(HALF_HEAD)
        until(lambda: sockets(service) >= 8, "all are accepted")
        assert classify(service, light_image()).status_code == 200
        dropped = [opened for opened in idle if _is_dropped(opened)]
        assert 1 <= len(dropped) < 8
        lines = [line for line in service.log.splitlines() if "Dropped an idle" in line]
        assert lines[0].endswith("Dropped an idle connection for a new one: 8 of 8 were in use.")


def test_when_every_connection_waits_for_its_answer_a_new_one_gets_a_503(store: Path) -> None:
    with running(store, max_connections=4, **PATIENT) as service, ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(not_reading(service))
        with connection(service) as late:
            late.sendall(head("/healthz", "GET"))
            answer = reply(late)
        assert answer.status == Overloaded.status
        assert answer.headers["Retry-After"] == "1"
        assert b"4 of 4 are in use" in answer.body
        assert "Rejected a connection: 4 of 4 are in use." in service.log


@pytest.mark.parametrize("path", ["/predict", f"/v2/models/{SMALL_V1}/infer"])
def test_the_body_that_arrives_for_longest_makes_room_for_a_new_connection(
    store: Path, path: str
) -> None:
    """Clients that send a body slowly would hold all connections until their deadlines."""
    with running(store, max_connections=3, **PATIENT) as service, ExitStack() as stack:
        slow = [stack.enter_context(connection(service)) for _ in range(3)]
        for opened in slow:
            opened.sendall(head(path, Content_Length=100, Expect="100-continue"))
            assert opened.recv(100).startswith(b"HTTP/1.1 100 ")  # it is in flight
            opened.sendall(b"{")
        until(lambda: _is_answered(service), "a new connection is served")
        answer = reply(slow[0])
        assert answer.status == SlowBody.status
        assert b"while others found no connection" in answer.body
        assert closed_by_server(slow[0])
        assert not _is_dropped(slow[2])


@pytest.mark.parametrize("path", ["/predict", f"/v2/models/{SMALL_V1}/infer"])
def test_the_largest_body_that_arrives_slowly_makes_room_in_memory(store: Path, path: str) -> None:
    sizes = [2**18, 2**19, 2**18]
    limits = {"max_inflight_bytes": sum(sizes), "max_body_bytes": 2**20}
    with running(store, **limits, **PATIENT) as service, ExitStack() as stack:
        slow = [stack.enter_context(connection(service)) for _ in sizes]
        for opened, size in zip(slow, sizes, strict=True):
            opened.sendall(head(path, Content_Length=size + 1) + b" " * size)
        held = "gateway_inflight_body_bytes"
        until(lambda: service.metric(held) == sum(sizes), "memory is full")
        until(lambda: classify(service, light_image()).status_code == 200, "there is room")
        answer = reply(slow[1])
        assert answer.status == SlowBody.status
        assert b"while others found no memory" in answer.body


def _is_answered(service: Service) -> bool:
    with connection(service) as opened:
        opened.sendall(head("/healthz", "GET"))
        return reply(opened).status == 200


def test_a_flood_of_connections_makes_few_log_lines(store: Path) -> None:
    with running(store, max_connections=4, **PATIENT) as service:
        began = time.monotonic()
        for _ in range(300):
            with connection(service) as opened:
                opened.sendall(HALF_HEAD)
        until(lambda: classify(service, light_image()).status_code == 200, "the flood is over")
        took_s = time.monotonic() - began
        assert service.log.count("Dropped an idle") <= took_s + 1  # one a second


def test_few_descriptors_allow_few_connections() -> None:
    code = """if True:
        import resource, sys
        from app.system.descriptors import SPARE, connections_within_limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 90))
        allowed = connections_within_limit(500)
        print(allowed + SPARE <= 90, allowed > 40, resource.getrlimit(resource.RLIMIT_NOFILE))
        print(connections_within_limit(5))
        """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert done == "True True (90, 90)\n5\n"


# --- how long


def test_a_client_that_reads_nothing_is_disconnected(store: Path) -> None:
    with running(store, deadline_ms=1000, measure_s=0) as service:
        until(lambda: sockets(service) > 0, "it listens")
        before = sockets(service)
        with not_reading(service):  # which is connected, or was
            until(lambda: sockets(service) == before, "the client is disconnected")
        assert classify(service, light_image()).status_code == 200


@pytest.mark.parametrize("tls", [False, True])
def test_a_stop_ends_although_clients_read_nothing(
    store: Path, certificate: tuple[Path, Path], tls: bool
) -> None:
    given = dict(zip(("tls_cert", "tls_key"), certificate, strict=True)) if tls else {}
    with (
        running(store, **MEASURED, drain_s=0, stop_timeout_s=1, **PATIENT, **given) as service,
        ExitStack() as stack,
    ):
        if tls:
            trust = ssl.create_default_context(cafile=str(certificate[0]))
            opened = stack.enter_context(connection(service))
            idle = stack.enter_context(trust.wrap_socket(opened, server_hostname="127.0.0.1"))
            idle.sendall(head("/healthz", "GET"))
            reply(idle)
        else:
            stack.enter_context(not_reading(service))
            stack.enter_context(not_reading(service, 1))
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        assert "Cancel 0" not in service.log
        assert "ERROR" not in service.log or not tls


# --- half of what there is to say


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(upload(light_image()), id="on-the-connection"),
        pytest.param(head("/healthz", "GET"), id="by-asgi"),
        pytest.param(head("/healthz", "GET") * 2 + head("/models", "GET"), id="pipelined"),
    ],
)
def test_a_client_that_has_nothing_more_to_send_gets_its_answers(
    patient: Service, sent: bytes
) -> None:
    with connection(patient) as opened:
        opened.sendall(sent)
        opened.shutdown(socket.SHUT_WR)
        answers = b""
        while piece := opened.recv(65536):
            answers += piece
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == sent.count(b" HTTP/1.1\r\n")


def test_a_client_that_breaks_off_its_body_gets_no_answer(patient: Service) -> None:
    with connection(patient) as opened:
        opened.sendall(head(Content_Length=1000) + b"begun")
        opened.shutdown(socket.SHUT_WR)
        assert closed_by_server(opened)


# --- requests that are none


HOSTS = [
    pytest.param(b"", "no Host headers", id="none"),
    pytest.param(b"Host: a\r\nHost: a\r\n", "2 Host headers", id="two"),
    pytest.param(b"Host: a b\r\n", "not a host name", id="space"),
    pytest.param(b"Host: a/b\r\n", "not a host name", id="path"),
    pytest.param(b"Host: http://a\r\n", "not a host name", id="url"),
    pytest.param(b"Host: a:port\r\n", "not a host name", id="port"),
]


@pytest.mark.parametrize("path", [b"/healthz", b"/predict"])
@pytest.mark.parametrize(("lines", "fault"), HOSTS)
def test_without_one_valid_host_there_is_a_400(
    patient: Service, lines: bytes, fault: str, path: bytes
) -> None:
    assert fault in rejected(patient, b"POST %s HTTP/1.1\r\n%s\r\n" % (path, lines), BadRequest)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: gateway.local:8000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: [2001:db8::1]:8000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: 192.0.2.1\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
    ],
)
def test_hosts_of_every_kind_are_answered(patient: Service, sent: bytes) -> None:
    with connection(patient) as opened:
        opened.sendall(sent)
        assert reply(opened).status == 200


CODED = b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %s\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity"])
def test_an_unsupported_transfer_coding_is_a_501_that_names_it(
    patient: Service, coding: bytes
) -> None:
    detail = rejected(patient, CODED % coding, UnsupportedTransferCoding)
    assert repr(coding.decode()) in detail


@pytest.mark.parametrize("path", [b"/predict", b"/v2/models/%s/infer", b"/nothing"])
@pytest.mark.parametrize("body", [b"zz\r\nabc\r\n", b"3\r\nabcXX\r\n0\r\n\r\n", b"-1\r\n\r\n"])
def test_a_malformed_chunked_body_is_a_400(patient: Service, path: bytes, body: bytes) -> None:
    sent = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s" % (path, body)
    assert "not valid HTTP" in rejected(patient, sent, BadRequest)


def test_headers_without_number_are_a_413_and_take_no_memory(patient: Service) -> None:
    before = patient.resident_bytes
    with ExitStack() as stack:
        for _ in range(50):
            opened = stack.enter_context(connection(patient))
            opened.sendall(head("/healthz", "GET")[:-2] + b"a:b\r\n" * 12_000)
            assert reply(opened).status == 413
        assert patient.resident_bytes - before < 10_000_000


def rejected(service: Service, sent: bytes, error: type[RequestError]) -> str:
    """The detail of the only answer, after which the connection is closed."""
    with connection(service) as opened:
        opened.sendall(sent)
        answer = reply(opened)
        assert closed_by_server(opened)
    headers = list(answer.headers.items())
    return assert_problem(
        httpx.Response(answer.status, headers=headers, content=answer.body), error
    )


def _is_dropped(opened: socket.socket) -> bool:
    opened.setblocking(False)
    try:
        return opened.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
