"""The conversation with the gateway, without doing any of it.

Each function here is a generator that says what to do next (send this, wait so long, read these
files) and is told what came of it. `Client` and `AsyncClient` only differ in how they do it, so
every rule (what is retried, how images go together, which errors are whose) stands here once.
"""

import secrets
import ssl
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import httpx

from mobilenet_gateway_client._errors import (
    DeadlineExceeded,
    ImageProblem,
    NotAGateway,
    Problem,
    Unreachable,
    UnreadableImage,
    to_problem,
)
from mobilenet_gateway_client._images import Source, encode
from mobilenet_gateway_client._results import (
    Classification,
    Info,
    LayerTable,
    Model,
    to_classifications,
)
from mobilenet_gateway_client._retry import Retry, retry_after_s

T = TypeVar("T")
GROUP_IMAGES = 8  # in one request: what a request costs besides its images is then little
GROUP_BYTES = 4 * 2**20  # half a small board's buffers stay free
ALONE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the answer is an httpx.Response or an httpx.TransportError."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait; there is no answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Call this where it may take its time; the answer is what it returns."""

    call: Callable[[], Any]


Steps: TypeAlias = Generator[Send | Wait | Work, Any, T]


@dataclass(frozen=True, slots=True)
class Options:
    """What to ask of the gateway for each image; what is None is left to the gateway."""

    model: str | None = None
    resolution: int | None = None
    top_k: int | None = None
    deadline_ms: float | None = None
    budget: Mapping[str, float] = field(default_factory=dict)

    def query(self) -> dict[str, str]:
        named = {"model": self.model, "resolution": self.resolution, "top_k": self.top_k}
        chosen = {name: value for name, value in named.items() if value is not None}
        return {name: str(value) for name, value in {**chosen, **self.budget}.items()}

    def headers(self) -> dict[str, str]:
        return {} if self.deadline_ms is None else {"X-Deadline-Ms": f"{self.deadline_ms:g}"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How many requests at once keep every worker busy, and how many images each has."""

    requests: int
    images: int


def at_least_one(requests: int | None) -> int | None:
    """How many requests at once were asked for.

    Raises:
        ValueError: less than one.
    """
    if requests is not None and requests < 1:
        raise ValueError(f"concurrency is {requests} and has to be at least 1")
    return requests


def pace(gateway: Info, requests: int | None = None) -> Pace:
    """One request more than the gateway has workers, and never more than half of its queue."""
    room = max(1, int(gateway.settings.get("queue_limit", GROUP_IMAGES)) // 2)
    at_once = requests or min(gateway.workers + 1, room)
    most = int(gateway.settings.get("max_images", 1))
    return Pace(at_once, max(1, min(GROUP_IMAGES, most, room // at_once)))


def info(retry: Retry) -> Steps[Info]:
    """What the gateway is made of."""
    return (yield from _exchange(Send("GET", "/info"), retry, Info.parse))


def models(retry: Retry) -> Steps[list[Model]]:
    """What is loaded."""

    def parse(sent: Any) -> list[Model]:
        return [Model.parse(row) for row in sent["models"]]

    return (yield from _exchange(Send("GET", "/models"), retry, parse))


def layers(model: str, resolution: int | None, retry: Retry) -> Steps[LayerTable]:
    """The cost of each layer of a model."""
    query = {} if resolution is None else {"resolution": str(resolution)}
    request = Send("GET", f"/models/{quote(model, safe='')}/layers", query)
    return (yield from _exchange(request, retry, LayerTable.parse))


def classify_one(source: Source, options: Options, retry: Retry) -> Steps[Classification]:
    """Classify one image; its error is raised."""
    image: bytes = yield Work(lambda: encode(source))
    [found] = yield from _predict([image], options, retry)
    return found


def classify_group(
    sources: Sequence[Source], options: Options, retry: Retry
) -> Steps[list[Classification]]:
    """Classify images that go together; the error of an image stands in its place."""
    read: list[bytes | UnreadableImage] = yield Work(lambda: [_try_encode(one) for one in sources])
    images = [one for one in read if isinstance(one, bytes)]
    found: list[Classification] = []
    for form in _forms(images):
        found += yield from _classify_form(form, options, retry)
    answers = iter(found)
    return [next(answers) if isinstance(one, bytes) else _failed(one, options) for one in read]


def _classify_form(
    images: Sequence[bytes], options: Options, retry: Retry
) -> Steps[list[Classification]]:
    """Classify images in one request, or each alone where the request as a whole is refused."""
    try:
        return (yield from _predict(images, options, retry))
    except Problem as problem:
        if len(images) == 1:
            if _is_about_the_image(problem):
                return [_failed(problem, options)]
            raise
        if not (_is_about_the_image(problem) or problem.status == 413):
            raise
    found = []
    for image in images:
        found += yield from _classify_form([image], options, retry)
    return found


def _is_about_the_image(problem: Problem) -> bool:
    """Whether another image could fare better; a server that breaks may break of this one."""
    return isinstance(problem, ImageProblem | DeadlineExceeded) or problem.status == 500


def _failed(error: Problem | UnreadableImage, options: Options) -> Classification:
    return Classification(options.model or "", options.resolution or 0, error=error)


def _try_encode(source: Source) -> bytes | UnreadableImage:
    try:
        return encode(source)
    except UnreadableImage as error:
        return error


def _forms(images: Sequence[bytes]) -> list[list[bytes]]:
    """Images in order, in groups of at most `GROUP_BYTES` or a single image."""
    forms: list[list[bytes]] = []
    total = 0
    for image in images:
        if not forms or total + len(image) > GROUP_BYTES:
            forms.append([])
            total = 0
        forms[-1].append(image)
        total += len(image)
    return forms


def _predict(
    images: Sequence[bytes], options: Options, retry: Retry
) -> Steps[list[Classification]]:
    content_type, content = (ALONE, images[0]) if len(images) == 1 else _multipart(images)
    headers = {"Content-Type": content_type, **options.headers()}
    request = Send("POST", "/predict", options.query(), headers, content)
    found = yield from _exchange(request, retry, to_classifications)
    if len(found) != len(images):
        raise NotAGateway(f"{len(images)} images were sent, {len(found)} results came back")
    return found


def _multipart(images: Sequence[bytes]) -> tuple[str, bytes]:
    """Content type and body of a form; 128 random bits do not occur in an image by chance."""
    boundary = secrets.token_hex(16)
    parts = []
    for number, image in enumerate(images):
        head = f'Content-Disposition: form-data; name="{number}"; filename="{number}"'
        parts += [f"--{boundary}\r\n{head}\r\n\r\n".encode(), image, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)


def _exchange(request: Send, retry: Retry, parse: Callable[[Any], T]) -> Steps[T]:
    """Send a request until it is answered with something else than a 503.

    Everything that this client asks for can be asked twice without harm.

    Raises:
        Problem: the gateway answered with one.
        Unreachable: there was no answer.
        NotAGateway: the answer is not of the form that this API has.
    """
    began = time.monotonic()
    failures = 0
    while True:
        reply: httpx.Response | httpx.TransportError = yield request
        if isinstance(reply, httpx.TransportError):
            failure: Problem | Unreachable = _unreachable(reply)
            floor_s, again = 0.0, _can_pass(reply)
        elif reply.is_success:
            return _parsed(reply, parse)
        else:
            failure = _problem(reply)
            floor_s = retry_after_s(reply.headers.get("Retry-After"))
            again = reply.status_code == 503
        failures += 1
        wait_s = retry.wait_s(failures, floor_s, time.monotonic() - began) if again else None
        if wait_s is None:
            raise failure
        yield Wait(wait_s)


def _unreachable(error: httpx.TransportError) -> Unreachable:
    url = error.request.url
    reason = _refusal(error) or f"does not answer: {error or type(error).__name__}"
    return Unreachable(f"{url.scheme}://{url.netloc.decode()} {reason}")


def _refusal(error: BaseException | None) -> str:
    """What is wrong with TLS, and what to do, where asking again is of no use; empty for all else.

    httpx wraps what the system says in errors of its own, which do not tell it apart.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that does not verify: {error.verify_message}; name one of your "
                "own in SSL_CERT_FILE, or give `verify`, and use an address that it is made out to"
            )
        if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
            return "does not speak TLS; an address with http:// may be what you want"
        error = error.__cause__ or error.__context__
    return ""


def _can_pass(error: httpx.TransportError) -> bool:
    """Whether a connection failed, rather than an answer taking too long or an odd address."""
    failed = isinstance(
        error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout
    )
    return failed and not _refusal(error)


def _parsed(reply: httpx.Response, parse: Callable[[Any], T]) -> T:
    try:
        return parse(reply.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAGateway(f"{reply.url} did not answer as mobilenet-gateway does") from error


def _problem(reply: httpx.Response) -> Problem:
    """The problem of an answer; of a proxy's answer, at least its status."""
    try:
        return to_problem(reply.json())
    except (ValueError, KeyError, TypeError, AttributeError):
        detail = f"{reply.url} answered {reply.status_code} {reply.reason_phrase}"
        return Problem("unknown", "", reply.status_code, detail)
