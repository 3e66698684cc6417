"""What is known of a camera now."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["http", "snapshot", "mjpeg", "folder", "video", "device"]


class SourceStatus(BaseModel):
    """Where the frames come from."""

    model_config = ConfigDict(frozen=True)

    kind: Kind = Field(description="`http` until the first answer tells `snapshot` from `mjpeg`.")
    address: str = Field(description="Without user, password and query.")


class CameraStatus(BaseModel):
    """A camera, its label and its counters since the start."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: SourceStatus
    model: str | None = Field(description="The model that classifies; null if it is not loaded.")
    zone: tuple[tuple[float, float, float, float], ...] = Field(
        (), description="Rectangles `[left, top, width, height]` in shares of the frame."
    )
    connected: bool = Field(description="Whether frames arrive.")
    error: str | None = Field(None, description="Why no frames arrive or none can be classified.")
    label: str | None = Field(description="The label that has started and not ended.")
    probability: float | None = Field(
        description="Of the label, mean of the frames that started it."
    )
    since: datetime | None = Field(description="The first frame with the label.")
    frames_per_s: float = Field(description="Frames that were looked at, lately.")
    frame_age_ms: float | None = Field(description="Age of the newest frame.")
    stale_after_ms: float = Field(description="Age at which a newer frame is overdue.")
    frames_seen: int = Field(description="Complete frames that arrived.")
    frames_unchanged: int = Field(description="Frames that needed no inference.")
    frames_dropped: int = Field(
        description="Frames beyond `frames_per_s`, and those that a newer one replaced."
    )
    frames_failed: int = Field(description="Frames that could not be classified.")
    reconnects: int = Field(description="Attempts to connect after the first.")
