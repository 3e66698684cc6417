"""What can go wrong between a caller and the gateway.

ClientError
├── Closed              the client was closed before the answer came
├── Unreachable         no connection, or no answer in time, after all retries
├── NotAGateway         something answered that does not speak this API
├── UnreadableImage     what was given is no image, or a file that cannot be read
└── Problem             the gateway's own answer (RFC 9457); `type` and `detail` are its words
    ├── ImageProblem    this image cannot be classified; others can
    ├── BadQuery        a parameter is unknown or out of range, or a limit cannot be kept
    ├── DeadlineExceeded
    ├── Unauthorized    a key is needed and none, or the wrong one, was given
    ├── Unavailable     overloaded or stopping, after all retries
    └── UnknownModel
"""

from collections.abc import Mapping
from typing import Any

TYPE_PREFIX = "urn:mobilenet-gateway:"


class ClientError(Exception):
    """Base of all errors of this client. `type` is a stable name, `detail` is for people."""

    type = "client-error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Closed(ClientError):
    """The client was closed before the answer came."""

    type = "closed"


class Unreachable(ClientError):
    """There was no connection, or no answer in time."""

    type = "unreachable"


class NotAGateway(ClientError):
    """Something answered that does not speak this API."""

    type = "not-a-gateway"


class UnreadableImage(ClientError):
    """A file that cannot be read, or an array or object that is no image."""

    type = "unreadable-image"


class Problem(ClientError):
    """A problem that the gateway answered with; `type` is its name without the prefix."""

    def __init__(self, type_: str, title: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.type = type_
        self.title = title
        self.status = status

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}" if self.title else self.detail


class ImageProblem(Problem):
    """This image cannot be classified; it says nothing about others."""


class BadQuery(Problem):
    """A parameter is unknown or out of range, or a limit that was set cannot be kept."""


class DeadlineExceeded(Problem):
    """The answer would have come later than the request's deadline."""


class Unauthorized(Problem):
    """A key is needed and none, or one that does not allow this, was given."""


class Unavailable(Problem):
    """The gateway is overloaded or stopping, and was for as long as was retried."""


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
    """The exception for a problem as it was sent.

    Raises:
        KeyError: a field is missing.
    """
    name = str(sent["type"]).removeprefix(TYPE_PREFIX)
    kind = _KINDS.get(name, Problem)
    return kind(name, str(sent["title"]), int(sent["status"]), str(sent["detail"]))
