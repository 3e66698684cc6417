"""The errors of this client; a `Problem` (RFC 9457) is the gateway's own answer."""

from collections.abc import Mapping
from typing import Any

TYPE_PREFIX = "urn:mobilenet-gateway:"


class ClientError(Exception):
    """Base of all errors of this client: a stable `type`, and a `detail` for people."""

    type = "client-error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Closed(ClientError):
    """The client was closed before the answer arrived."""

    type = "closed"


class Unreachable(ClientError):
    """No connection, or no answer in time, after all retries."""

    type = "unreachable"


class NotAGateway(ClientError):
    """Another service answered at the address of the gateway."""

    type = "not-a-gateway"


class UnreadableImage(ClientError):
    """The file cannot be read, or the object is not an image."""

    type = "unreadable-image"


class Problem(ClientError):
    """A problem (RFC 9457) from the gateway; `type` comes without its URN prefix."""

    def __init__(self, type_: str, title: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.type = type_
        self.title = title
        self.status = status

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}" if self.title else self.detail


class ImageProblem(Problem):
    """This image cannot be classified; others may be."""


class BadQuery(Problem):
    """A parameter is unknown or out of range, or no model fits the budget."""


class DeadlineExceeded(Problem):
    """The answer would have come after the deadline of the request."""


class Unauthorized(Problem):
    """The API key is missing or not accepted."""


class Unavailable(Problem):
    """The gateway is overloaded or shutting down, after all retries."""


class UnknownModel(Problem):
    """No loaded model has that name."""


_KINDS: dict[str, type[Problem]] = {
    "bad-query": BadQuery,
    "impossible-budget": BadQuery,
    "damaged-image": ImageProblem,
    "empty-body": ImageProblem,
    "image-too-small": ImageProblem,
    "not-an-image": ImageProblem,
    "too-many-bytes": ImageProblem,
    "too-many-pixels": ImageProblem,
    "unsupported-format": ImageProblem,
    "deadline-exceeded": DeadlineExceeded,
    "forbidden": Unauthorized,
    "unauthorized": Unauthorized,
    "overloaded": Unavailable,
    "stopping": Unavailable,
    "unknown-model": UnknownModel,
}


def to_problem(sent: Mapping[str, Any]) -> Problem:
    """The exception for a problem in JSON.

    Raises:
        KeyError: a field is missing.
    """
    name = str(sent["type"]).removeprefix(TYPE_PREFIX)
    kind = _KINDS.get(name, Problem)
    return kind(name, str(sent["title"]), int(sent["status"]), str(sent["detail"]))
