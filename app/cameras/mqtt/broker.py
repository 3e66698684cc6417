"""Where the broker is."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from app.cameras.settings import read_secret


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how to be let in."""

    host: str
    port: int
    client_id: str
    user: str | None = None
    password: str | None = None
    password_file: Path | None = None
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def read_password(self) -> str | None:
        """The password; its file is read for every connection, as it may have changed.

        Raises:
            SettingError: it cannot be read.
        """
        if self.password_file is None:
            return self.password
        return read_secret(self.password_file, "mqtt.password_file")
