"""The record of one request, from which its log line, metrics and trace are written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import getrandbits  # an id is no secret, and os.urandom would release the GIL
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from app.errors import RequestError
from app.wire import Headers

if TYPE_CHECKING:
    from opentelemetry.trace import Span  # of the optional extra `otel`

ID_HEADER = b"x-request-id"
TRACE_HEADER = b"traceresponse"  # W3C Trace Context, level 2
UNMATCHED = "none"  # the route of every unknown path, so that metrics stay few
_VALID_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class ImageRecord(NamedTuple):
    """How long the stages of one image took, or the error that ended it."""

    queue_ms: float
    decode_ms: float
    inference_ms: float
    error: RequestError | None = None


@dataclass(slots=True)
class Trace:
    """The span of a request, and the header that tells the client about it."""

    span: "Span"
    began_ns: int
    response: bytes


@dataclass(slots=True)
class Record:
    """Filled in while the request is answered."""

    id: str
    method: str
    path: str
    route: str = UNMATCHED
    began: float = field(default_factory=perf_counter)
    model: str = ""
    images: int = 0  # 0 if nothing was queued
    queued: float = 0.0  # time of queuing, on the clock of `began`
    body_bytes: int = 0
    results: Sequence[ImageRecord] = ()
    error: str = ""  # type of the error that ended the request
    status: int = 0
    ended_s: float = 0.0  # seconds since the epoch
    took_ms: float = 0.0  # since the head was complete
    trace: Trace | None = None


def start_record(method: str, path: str, headers: Headers, route: str = UNMATCHED) -> Record:
    """Start the record of a request, under the client's id or a new one."""
    for name, value in headers:
        if name == ID_HEADER and _VALID_ID.fullmatch(value):
            return Record(value.decode("ascii"), method, path, route)
    return Record(f"{getrandbits(64):016x}", method, path, route)
