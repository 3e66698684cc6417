"""The payloads of a camera's topics."""

import json
from typing import Any

from app.cameras.event import Event, fields, utc
from app.cameras.status import CameraStatus

PROBABILITY_DIGITS = 4


def state(status: CameraStatus) -> bytes:
    """What the camera shows; `label` is null until a first label is sure."""
    return _encode(
        {
            "camera": status.name,
            "label": status.label,
            "probability": _rounded(status.probability),
            "since": utc(status.since) if status.since else None,
            "model": status.model,
        }
    )


def is_state(payload: bytes, camera: str) -> bool:
    """Whether a retained payload is what `state` makes for that camera, and so a gateway's."""
    try:
        found = json.loads(payload)
    except ValueError:
        return False
    return (
        isinstance(found, dict)
        and found.get("camera") == camera
        and set(found) == {"camera", "label", "probability", "since", "model"}
    )


def event(seen: Event) -> bytes:
    """The start or end of a label. Home Assistant reads `event_type`."""
    content = fields(seen)
    return _encode({"event_type": content.pop("state"), **content})


def _encode(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, PROBABILITY_DIGITS)
