"""What one request turned out to be, for its log line and the metrics."""

import re
from dataclasses import dataclass
from random import getrandbits  # an id is no secret, and os.urandom would let go of the GIL

from starlette.types import Scope

ID_HEADER = b"x-request-id"
_GOOD_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_KEY = "record"


@dataclass(slots=True)
class Record:
    """Filled in while the request is answered. Times are sums over its images."""

    id: str
    model: str = ""
    images: int = 0
    body_bytes: int = 0
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    status: int = 0


def start_record(scope: Scope) -> Record:
    """Begin the record of a request; its id is the client's, or a new one."""
    given = next((value for name, value in scope["headers"] if name == ID_HEADER), b"")
    known = given.decode("ascii") if _GOOD_ID.fullmatch(given) else f"{getrandbits(64):016x}"
    record = Record(known)
    scope.setdefault("state", {})[_KEY] = record
    return record


def record_of(scope: Scope) -> Record:
    """The record that `start_record` began."""
    record: Record = scope["state"][_KEY]
    return record
