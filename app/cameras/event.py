"""What happened in front of a camera."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

_count = itertools.count()


@dataclass(frozen=True, slots=True)
class Event:
    """The start or the end of a label in front of a camera.

    Every event has an id of its own. The start and the end of an occurrence have the same camera,
    label and `started_at`.
    """

    id: str  # sorts by time
    camera: str
    model: str
    label: str
    state: Literal["start", "end"]
    probability: float  # of the label, mean of the frames that started it
    started_at: datetime  # of the first of these frames, UTC
    ended_at: datetime | None = None


def new_id(at: datetime) -> str:
    """An id that sorts by time, and by the order of calls within a millisecond."""
    return f"{int(at.timestamp() * 1000):012x}-{next(_count) % 16**8:08x}"


def fields(event: Event) -> dict[str, Any]:
    """An event as JSON has it."""
    return {
        "id": event.id,
        "camera": event.camera,
        "model": event.model,
        "label": event.label,
        "state": event.state,
        "probability": round(event.probability, 4),
        "started_at": utc(event.started_at),
        "ended_at": None if event.ended_at is None else utc(event.ended_at),
    }


def utc(moment: datetime) -> str:
    """`2026-11-30T12:00:00.000+00:00`"""
    return moment.isoformat(timespec="milliseconds")
