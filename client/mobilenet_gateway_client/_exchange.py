"""One request and its answer, with retries; all input and output is left to the caller.

The functions here and in `_calls` are generators. Each yields the next step (send this, wait this
long, call this) and receives its outcome, so that `Client` and `AsyncClient` share every rule and
differ only in how they carry out a step.
"""

import ssl
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import httpx

from mobilenet_gateway_client._errors import NotAGateway, Problem, Unreachable, to_problem
from mobilenet_gateway_client._retry import Retry, retry_after_s

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is an httpx.Response or an httpx.TransportError."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    timeout_s: float | None = None  # for the answer, if not that of the client

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        timeout = http.timeout
        if self.timeout_s is not None:
            timeout = httpx.Timeout(**{**timeout.as_dict(), "read": self.timeout_s})
        return http.build_request(
            self.method,
            self.path,
            params=self.query,
            headers=self.headers,
            content=self.content,
            timeout=timeout,
        )


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait; there is no outcome."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function that may block; the outcome is what it returns."""

    function: Callable[[], Any]


Steps: TypeAlias = Generator[Send | Wait | Call, Any, T]


def exchange(
    request: Send,
    retry: Retry,
    parse: Callable[[Any], T],
    read: Callable[[httpx.Response], Any] = httpx.Response.json,
) -> Steps[T]:
    """Send a request until the answer is not a 503. Every request of this API is idempotent.

    The result is `parse` of what `read` makes of the answer.

    Raises:
        Problem: the gateway answered with one.
        Unreachable: there was no answer.
        NotAGateway: the answer has an unknown format.
    """
    began = time.monotonic()
    failures = 0
    while True:
        reply: httpx.Response | httpx.TransportError = yield request
        if isinstance(reply, httpx.TransportError):
            failure: Problem | Unreachable = _unreachable(reply)
            min_wait_s, retryable = 0.0, _is_temporary(reply)
        elif reply.is_success:
            return _parsed(reply, parse, read)
        else:
            failure = _problem(reply)
            min_wait_s = retry_after_s(reply.headers.get("Retry-After"))
            retryable = reply.status_code == 503
        failures += 1
        spent_s = time.monotonic() - began
        wait_s = retry.wait_s(failures, min_wait_s, spent_s) if retryable else None
        if wait_s is None:
            raise failure
        yield Wait(wait_s)


def _unreachable(error: httpx.TransportError) -> Unreachable:
    url = error.request.url
    address = f"{url.scheme}://{url.netloc.decode()}"
    reason = _tls_reason(error) or f"does not answer: {str(error) or type(error).__name__}"
    return Unreachable(f"{address} {reason}")


def _tls_reason(error: BaseException | None) -> str:
    """Why TLS fails, and the way out; empty for an error that is not about TLS.

    httpx wraps the errors of `ssl` in its own, which do not distinguish them.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"has an invalid certificate: {error.verify_message}. Set SSL_CERT_FILE or pass "
                "`verify` to trust your own, and use an address that the certificate names."
            )
        if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
            return "does not speak TLS. Try an address with http://."
        error = error.__cause__ or error.__context__
    return ""


def _is_temporary(error: httpx.TransportError) -> bool:
    """Whether a connection failed; a late answer or a TLS error would only repeat itself."""
    failed = isinstance(
        error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout
    )
    return failed and not _tls_reason(error)


def _parsed(
    reply: httpx.Response, parse: Callable[[Any], T], read: Callable[[httpx.Response], Any]
) -> T:
    try:
        return parse(read(reply))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAGateway(f"{reply.url} did not answer like mobilenet-gateway.") from error


def _problem(reply: httpx.Response) -> Problem:
    """The problem in an answer; for the answer of a proxy, its status."""
    try:
        return to_problem(reply.json())
    except (ValueError, KeyError, TypeError, AttributeError):
        detail = f"{reply.url} answered {reply.status_code} {reply.reason_phrase}"
        return Problem("unknown", "", reply.status_code, detail)
