"""What is asked of a camera over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.images.decode_memory import DecodeMemory
from app.images.limits import ImageLimits


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An address without its secrets, and how to read it."""

    url: str
    credentials: tuple[str, str] | None
    verify_tls: bool
    poll_s: float
    stalled_s: float
    max_bytes: int
    limits: ImageLimits
    memory: DecodeMemory
    answers: Callable[[Literal["snapshot", "mjpeg"]], None] | None = None  # called when it tells

    def __repr__(self) -> str:
        return f"HttpRequest({self.url.partition('?')[0]!r})"
