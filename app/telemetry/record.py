"""What one request turned out to be, for its log line and the metrics."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import getrandbits  # an id is no secret, and os.urandom would let go of the GIL
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from app.errors import RequestError
    from app.service.auth import Headers
    from app.telemetry.tracing import Trace

ID_HEADER = b"x-request-id"
TRACE_HEADER = b"traceresponse"  # W3C Trace Context, level 2
UNMATCHED = "none"  # the route of all unknown paths, however many
_GOOD_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class ImageRecord(NamedTuple):
    """What one image took, or what kept it from being answered."""

    queue_ms: float
    decode_ms: float
    inference_ms: float
    error: "RequestError | None" = None


@dataclass(slots=True)
class Record:
    """Filled in while the request is answered; `images` of 0 means that it came not that far."""

    id: str
    method: str
    path: str
    route: str = UNMATCHED
    began: float = field(default_factory=perf_counter)
    model: str = ""
    images: int = 0
    queued: float = 0.0  # when they were, on the clock of `began`
    body_bytes: int = 0
    results: Sequence[ImageRecord] = ()
    error: str = ""  # the type of what ended it
    status: int = 0
    ended_s: float = 0.0  # of the day, as time.time() has it
    took_ms: float = 0.0  # since its head was there
    trace: "Trace | None" = None


def start_record(method: str, path: str, headers: "Headers", route: str = UNMATCHED) -> Record:
    """Begin the record of a request; its id is the client's, or a new one."""
    for name, value in headers:
        if name == ID_HEADER and _GOOD_ID.fullmatch(value):
            return Record(value.decode("ascii"), method, path, route)
    return Record(f"{getrandbits(64):016x}", method, path, route)
