"""The table `[mqtt]` of the TOML file, and what follows from it."""

import ssl
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from app.cameras.mqtt.broker import Broker
from app.cameras.mqtt.topics import Topics
from app.cameras.settings import read_secret
from app.errors import SettingError

PORTS = {"mqtt": 1883, "mqtts": 8883}
TOPIC = (
    r"^[^\x00-\x20\x7f$#+/][^\x00-\x20\x7f#+]*$"  # no wildcards, no spaces, not the broker's own
)


class MqttSettings(BaseModel):
    """The table `[mqtt]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str = Field(
        description="Address of the broker: `mqtt://HOST`, or `mqtts://HOST` with TLS. The ports "
        "are 1883 and 8883 if there is none in it."
    )
    user: str | None = Field(None, min_length=1, description="User name for the broker.")
    password: SecretStr | None = Field(None, description="Its password.")
    password_file: Path | None = Field(
        None, description="File with the password, which is read for every connection."
    )
    ca_file: Path | None = Field(
        None, description="Authorities (PEM) that the broker's certificate is checked with; those "
        "of the system if absent."
    )  # fmt: skip
    client_cert: Path | None = Field(
        None, description="Certificate file (PEM) that the gateway shows to the broker."
    )
    client_key: Path | None = Field(None, description="Its private key file (PEM).")
    topic: str = Field(
        "mobilenet-gateway",
        pattern=TOPIC,
        max_length=200,
        description="Topic that all others are below. Each gateway on a broker needs its own.",
    )
    frame_interval_s: float = Field(
        0,
        ge=0,
        le=86_400,
        description="Publish a camera's newest frame at this interval in seconds, and with every "
        "event; 0 publishes no frames.",
    )
    discovery: bool = Field(True, description="Announce the cameras to Home Assistant.")
    discovery_prefix: str = Field(
        "homeassistant",
        pattern=TOPIC,
        max_length=200,
        description="The discovery prefix that Home Assistant is set to.",
    )
    device_name: str = Field(
        "Gateway", min_length=1, max_length=100, description="Name of the device in Home Assistant."
    )

    @field_validator("url")
    @classmethod
    def check_url(cls, value: str) -> str:
        """Reject what is no address, and credentials in it: it is shown in logs."""
        parts = urlsplit(value)
        if parts.username is not None or parts.password is not None:
            raise ValueError("set user and password_file instead of putting them into url")
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port is not a number up to 65535") from None
        extra = parts.path not in ("", "/") or parts.query or parts.fragment
        if parts.scheme not in PORTS or not parts.hostname or port == 0 or extra:
            raise ValueError("write mqtt://HOST:PORT or mqtts://HOST:PORT")
        return value

    @field_validator("topic", "discovery_prefix")
    @classmethod
    def check_topic(cls, value: str) -> str:
        """Reject empty levels, which many clients cannot show."""
        if "//" in value or value.endswith("/"):
            raise ValueError("it has an empty level")
        return value

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Reject settings that contradict each other."""
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        if (self.password is not None or self.password_file is not None) and self.user is None:
            raise ValueError("a password needs a user")
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("set both client_cert and client_key, or neither")
        if not self.tls and (self.ca_file or self.client_cert):
            raise ValueError("ca_file and client_cert need an address with mqtts://")
        return self

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def topics(self) -> Topics:
        return Topics(self.topic)

    def broker(self) -> Broker:
        """The broker, with all files read once.

        Raises:
            SettingError: a file cannot be used; the text names it.
        """
        parts = urlsplit(self.url)
        if self.password_file is not None:
            read_secret(self.password_file, "mqtt.password_file")
        return Broker(
            host=str(parts.hostname),
            port=parts.port or PORTS[parts.scheme],
            client_id=self.topics.device_id,
            user=self.user,
            password=self.password.get_secret_value() if self.password else None,
            password_file=self.password_file,
            tls=self._tls_context() if self.tls else None,
        )

    def _tls_context(self) -> ssl.SSLContext:
        """Authorities and certificate for `mqtts://`.

        Raises:
            SettingError: a file cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise SettingError(f"mqtt.ca_file: cannot use {self.ca_file}: {_why(error)}.") from None
        if self.client_cert is not None:
            try:
                # A password would be asked for on the terminal.
                context.load_cert_chain(self.client_cert, self.client_key, password=lambda: b"")
            except OSError as error:
                raise SettingError(
                    f"mqtt.client_cert: cannot use {self.client_cert} with {self.client_key}: "
                    f"{_why(error)}."
                ) from None
        return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return error.strerror or str(error)
