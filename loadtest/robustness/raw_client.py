"""A client that sends raw bytes and judges the answers."""

import socket
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from threading import local

from pydantic import ValidationError

from app.problem import MEDIA_TYPE, Problem
from loadtest.host.server import HOST
from loadtest.robustness.fuzz_cases import Case

MAX_ANSWER_S = 5.0
GATEWAY_TIMEOUT, DEADLINE = 504, b"X-Deadline-Ms"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one case: status and problem type, and the fault if there is one."""

    kind: str
    answer: str
    fault: str = ""


class RawClient:
    """Sends raw requests over one connection per thread, kept as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._thread = local()
        self._connections: set[socket.socket] = set()

    def send(self, case: Case) -> Outcome:
        started = time.perf_counter()
        try:
            outcome = self._send(case)
        except TimeoutError:
            self._close_connection()
            return Outcome(case.kind, "none", f"no answer within {MAX_ANSWER_S} s")
        except (OSError, HTTPException) as error:
            self._close_connection()
            fault = "" if case.broken_http else f"the connection broke: {error!r}"
            return Outcome(case.kind, "closed", fault)
        if (took_s := time.perf_counter() - started) > MAX_ANSWER_S:
            return Outcome(case.kind, outcome.answer, f"the answer took {took_s:.1f} s")
        return outcome

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _send(self, case: Case) -> Outcome:
        connection = self._connection()
        connection.sendall(case.request)
        if case.broken_http:
            connection.shutdown(socket.SHUT_WR)
        method = case.request.partition(b" ")[0].decode("latin-1")
        response = HTTPResponse(connection, method=method)
        response.begin()
        body = response.read()
        if case.broken_http or response.will_close:
            self._close_connection()
        outcome = judge(case.kind, response, body, has_body=method != "HEAD")
        if response.status == GATEWAY_TIMEOUT and DEADLINE in case.request:
            return Outcome(outcome.kind, outcome.answer)  # the case has set the deadline itself
        return outcome

    def _connection(self) -> socket.socket:
        connection: socket.socket | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = socket.create_connection((HOST, self._port), MAX_ANSWER_S)
            self._thread.connection = connection
            self._connections.add(connection)
        return connection

    def _close_connection(self) -> None:
        if connection := getattr(self._thread, "connection", None):
            connection.close()
            self._connections.discard(connection)
            self._thread.connection = None


def judge(kind: str, response: HTTPResponse, body: bytes, *, has_body: bool = True) -> Outcome:
    """Name the answer, and state the fault if it has one."""
    status = response.status
    if status < 400 or not has_body:
        return Outcome(kind, str(status), f"status {status}" if status >= 500 else "")
    if response.headers["content-type"] != MEDIA_TYPE:
        return Outcome(kind, str(status), f"status {status} without a problem: {body[:200]!r}")
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError as error:
        return Outcome(kind, str(status), f"status {status}: {error}")
    answer = f"{status} {problem.type.rpartition(':')[2]}"
    return Outcome(kind, answer, f"status {status}: {problem.detail}" if status >= 500 else "")
