"""The tables `[cameras.NAME]` of the TOML file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from app.cameras.address import Address, parse_address
from app.cameras.frames.zone import CheckedRectangle
from app.errors import SettingError
from app.suggestion import near_name

NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
MAX_CAMERAS = 64
SNAPSHOTS_PER_S, FRAMES_PER_S = 1.0, 5.0
# A camera that lost power and is back is noticed at once over HTTP, but by RTSP only so.
STALLED_S, RTSP_STALLED_S = 10.0, 3.0
Table = TypeVar("Table", bound=BaseModel)


class CameraSettings(BaseModel):
    """One table `[cameras.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: SecretStr = Field(
        description="Address of the frames: `http(s)://` for MJPEG or a snapshot, `rtsp://` and "
        "other streams, `/dev/video0`, or the absolute path of a folder."
    )
    kind: Literal["snapshot", "mjpeg", "video"] | None = Field(
        None,
        description="For `http(s)://`: what it must answer; `video` is for streams such as HLS. "
        "Without it the answer tells `snapshot` from `mjpeg`.",
    )
    user: str | None = Field(None, description="User name for Basic or Digest authentication.")
    password: SecretStr | None = Field(None, description="Its password.")
    password_file: Path | None = Field(None, description="File with the password.")
    verify_tls: bool = Field(True, description="Check the certificate of `https://`.")
    model: str | None = Field(
        None, min_length=1, description="Model or taught head; the default model if absent."
    )
    frames_per_s: float | None = Field(
        None,
        gt=0,
        le=60,
        description="Maximum number of frames to look at in a second; 0.1 is one in ten seconds. "
        "By default 1 for a snapshot, 5 otherwise.",
    )
    stalled_s: float | None = Field(
        None,
        gt=0,
        le=3600,
        description="Seconds without a frame after which to connect again. By default 3 for "
        "`rtsp://`, 10 otherwise.",
    )
    rotation: Literal[0, 90, 180, 270] = Field(
        0, description="Degrees by which to turn frames clockwise."
    )
    zone: tuple[CheckedRectangle, ...] = Field(
        (),
        max_length=16,
        description="Rectangles `[left, top, width, height]` in shares of the turned frame. Only "
        "changes in them count, and the smallest rectangle around all is classified.",
    )
    change_gate: bool = Field(True, description="Skip inference while nothing in the zone changes.")
    recheck_s: float = Field(
        60,
        ge=0,
        le=86_400,
        description="Seconds after which to infer without a change; 0 is never.",
    )
    labels: tuple[str, ...] = Field(
        (), description="Labels that make events; all if empty, which suits a taught head."
    )
    start_probability: float = Field(
        0.6, gt=0, le=1, description="Probability at which a label can start."
    )
    end_probability: float = Field(0.4, ge=0, le=1, description="Probability below which it ends.")
    in_a_row: int = Field(
        3, ge=1, le=1000, description="Frames in a row that start a label, or end it."
    )
    minimum_s: float = Field(
        0, ge=0, le=86_400, description="Seconds that a label must last before it starts."
    )
    cool_down_s: float = Field(
        10,
        ge=0,
        le=86_400,
        description="Seconds after its end in which a label cannot start again.",
    )

    @field_validator("source")
    @classmethod
    def check_source(cls, value: SecretStr) -> SecretStr:
        parse_address(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Reject settings that contradict each other."""
        address = self.address
        if self.end_probability > self.start_probability:
            raise ValueError("end_probability is more than start_probability")
        if self.kind is not None and address.kind != "http":
            raise ValueError("kind is for http(s):// only")
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        if address.user is not None and self.user is not None:
            raise ValueError("set user, or put one into source, not both")
        if self.password_given and address.user is None and self.user is None:
            raise ValueError("a password needs a user")
        if address.kind in ("folder", "device") and self.user is not None:
            raise ValueError("user is for addresses with a host only")
        return self

    @property
    def address(self) -> Address:
        return parse_address(self.source.get_secret_value())

    @property
    def is_video(self) -> bool:
        """Whether FFmpeg reads it."""
        return self.kind == "video" or self.address.kind in ("video", "device")

    @property
    def poll_s(self) -> float:
        """Seconds between two requests for a snapshot."""
        return 1 / (self.frames_per_s or SNAPSHOTS_PER_S)

    @property
    def silence_s(self) -> float:
        """Seconds without a frame after which to connect again."""
        rtsp = self.address.url.startswith(("rtsp:", "rtsps:"))
        return self.stalled_s or (RTSP_STALLED_S if rtsp else STALLED_S)

    @property
    def looks_per_s(self) -> float:
        return self.frames_per_s or FRAMES_PER_S

    @property
    def password_given(self) -> bool:
        return self.password is not None or self.password_file is not None

    def credentials(self) -> tuple[str, str] | None:
        """User and password, if there are any.

        Raises:
            SettingError: the file of the password cannot be read.
        """
        address = self.address
        user = self.user if self.user is not None else address.user
        if user is None:
            return None
        if self.password is not None:
            return user, self.password.get_secret_value()
        if self.password_file is not None:
            return user, read_secret(self.password_file, "password_file")
        return user, address.password or ""


def read_secret(path: Path, setting: str) -> str:
    """The first line of a file.

    Raises:
        SettingError: it cannot be read, or is empty.
    """
    try:
        text = path.read_text("utf-8").partition("\n")[0].strip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingError(f"{setting}: cannot read {path}: {reason}.") from None
    if not text:
        raise SettingError(f"{setting}: {path} is empty.")
    return text


def read_cameras(tables: Mapping[str, Any]) -> dict[str, CameraSettings]:
    """The tables `[cameras.NAME]`, by name.

    Raises:
        SettingError: something is unknown or out of range; no value is repeated, as it may be
            secret.
    """
    cameras = tables.get("cameras", {})
    if not isinstance(cameras, Mapping) or not all(
        isinstance(table, Mapping) for table in cameras.values()
    ):
        raise SettingError("cameras: write a table [cameras.NAME] for each camera.")
    if len(cameras) > MAX_CAMERAS:
        raise SettingError(f"cameras: {len(cameras)} cameras are more than {MAX_CAMERAS}.")
    for name in cameras:
        if not re.fullmatch(NAME, name):
            raise SettingError(
                f"cameras: {name[:100]!a} cannot be the name of a camera: up to 64 lower-case "
                "letters, digits, `_` and `-` can, with a letter or digit first."
            )
    return {name: read_table(f"cameras.{name}", CameraSettings, cameras[name]) for name in cameras}


def read_table(name: str, kind: type[Table], table: Any) -> Table:
    """Validate a table.

    Raises:
        SettingError: something is unknown or out of range; no value is repeated.
    """
    if not isinstance(table, Mapping):
        raise SettingError(f"{name}: write a table [{name}].")
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        known = tuple(kind.model_fields)
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise SettingError(
            "; ".join(_describe(name, dict(fault), known) for fault in faults)
        ) from None


def _describe(table: str, fault: Mapping[str, Any], known: tuple[str, ...]) -> str:
    place = ".".join([table, *map(str, fault["loc"])])
    if fault["type"] == "extra_forbidden":
        near = near_name(str(fault["loc"][-1]), known, 0.6)
        hint = f"Did you mean {near}?" if near else f"Known settings: {', '.join(known)}."
        return f"Unknown setting {place}. {hint}"
    return f"{place}: {str(fault['msg']).removeprefix('Value error, ')}"
