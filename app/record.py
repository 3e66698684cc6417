"""What one request turned out to be, for its log line and the metrics."""

import re
from dataclasses import dataclass, field
from random import getrandbits  # an id is no secret, and os.urandom would let go of the GIL
from time import perf_counter

from app.auth import Headers

ID_HEADER = b"x-request-id"
UNMATCHED = "none"  # the route of all unknown paths, however many
_GOOD_ID = re.compile(rb"[\x21-\x7e]{1,128}")


@dataclass(slots=True)
class Record:
    """Filled in while the request is answered. Times are sums over its images."""

    id: str
    method: str
    path: str
    route: str = UNMATCHED
    began: float = field(default_factory=perf_counter)
    model: str = ""
    images: int = 0
    body_bytes: int = 0
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    status: int = 0

    @property
    def took_ms(self) -> float:
        """Milliseconds since the head of the request was there."""
        return (perf_counter() - self.began) * 1000


def start_record(method: str, path: str, headers: Headers, route: str = UNMATCHED) -> Record:
    """Begin the record of a request; its id is the client's, or a new one."""
    for name, value in headers:
        if name == ID_HEADER and _GOOD_ID.fullmatch(value):
            return Record(value.decode("ascii"), method, path, route)
    return Record(f"{getrandbits(64):016x}", method, path, route)
