"""The topics of a gateway and its cameras."""

import re
from dataclasses import dataclass

ONLINE, OFFLINE = b"online", b"offline"


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics below `base`, which no other gateway on the same broker may have."""

    base: str

    @property
    def status(self) -> str:
        """Whether the gateway is connected: `online`, or `offline` by last will."""
        return f"{self.base}/status"

    @property
    def states(self) -> str:
        """A filter for the states of all cameras, also of those that were removed."""
        return f"{self.base}/+/state"

    def state(self, camera: str) -> str:
        """What the camera shows, as JSON; retained."""
        return f"{self.base}/{camera}/state"

    def availability(self, camera: str) -> str:
        """Whether frames arrive from the camera: `online` or `offline`; retained."""
        return f"{self.base}/{camera}/availability"

    def frame(self, camera: str) -> str:
        """The newest frame, as JPEG; retained."""
        return f"{self.base}/{camera}/frame"

    def event(self, camera: str) -> str:
        """Starts and ends of labels, as JSON; not retained."""
        return f"{self.base}/{camera}/event"

    def retained(self, camera: str) -> tuple[str, ...]:
        """All that the broker retains of a camera."""
        return self.state(camera), self.availability(camera), self.frame(camera)

    def camera_of_state(self, topic: str) -> str | None:
        """The camera of a topic that `states` matches."""
        found = re.fullmatch(f"{re.escape(self.base)}/([^/]+)/state", topic)
        return found[1] if found else None

    @property
    def device_id(self) -> str:
        """A name for the gateway that Home Assistant and the broker take."""
        return re.sub("[^a-zA-Z0-9_-]", "_", self.base)
