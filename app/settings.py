"""Every setting once: name, type, default, help.

The same list makes the environment variables (`GATEWAY_` + upper-case name), the keys of the TOML
file, the options of `mobilenet-gateway serve`, README's table and `/info`. What is given on the
command line wins over the environment, which wins over the file. Anything unknown is an error.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.errors import SettingError

PREFIX = "GATEWAY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
BUILD_VARIABLES = {f"{PREFIX}WEIGHTS"}  # read by the commands that prepare models

Names = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    """What a person can choose about the service."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    store: Path = Field(Path("models/store"), description="Folder of the .onnx files to serve.")
    models: Names = Field((), description="Names of the models to load; empty loads all.")
    default_model: str = Field(
        "mobilenet_v2_1.0_224",
        description="Model that answers when a request names none; if it is not loaded, the first.",
    )
    allow_untrained: bool = Field(False, description="Serve models with random weights too.")
    workers: int = Field(
        0, ge=0, le=256, description="Threads that decode and infer; 0 takes one a usable core."
    )
    reduced_decode: bool = Field(
        True, description="Decode JPEG at 1/2, 1/4 or 1/8 scale where the crop allows it."
    )
    max_body_bytes: int = Field(
        16 * 2**20, ge=1024, description="Largest request body; more is a 413."
    )
    max_images: int = Field(
        32, ge=1, le=1024, description="Most images in one request; more is a 413."
    )
    max_pixels: int = Field(
        40_000_000, ge=1024, description="Most pixels of an image, by its header; more is a 413."
    )
    min_side_pixels: int = Field(
        8, ge=1, description="Shortest side that an image may have; less is a 422."
    )

    queue_limit: int = Field(
        64, ge=1, description="Most images that wait for a worker; beyond that requests get a 503."
    )
    max_inflight_bytes: int = Field(
        256 * 2**20,
        ge=1024,
        description="Most bytes of request bodies held at once; beyond that requests get a 503.",
    )
    deadline_ms: float = Field(
        10_000,
        gt=0,
        description="Time that a request may take; X-Deadline-Ms can ask for less. Later is a 504.",
    )
    memory_arena: bool = Field(
        False, description="Let onnxruntime keep freed memory for itself; measured to gain nothing."
    )
    cache: bool = Field(
        True, description="Keep optimised graphs beside the store, for a faster second start."
    )
    reload_poll_s: float = Field(
        0, ge=0, description="Look for changed files in the store this often; 0 never looks."
    )
    drain_s: float = Field(
        0.5, ge=0, description="On SIGTERM, answer new work with 503 for at least this long."
    )
    stop_timeout_s: float = Field(
        20, gt=0, description="On SIGTERM, end after this time even if work is not finished."
    )
    api_keys: Secrets = Field(
        (), description="Keys, any of which opens everything but health; empty asks for none."
    )
    api_keys_file: Path | None = Field(None, description="File with one API key a line.")
    admin_key: SecretStr | None = Field(
        None, description="Key for POST /models/reload; without it that is switched off."
    )
    cors_origins: Names = Field((), description="Origins whose pages may call; `*` allows all.")
    tls_cert: Path | None = Field(None, description="Certificate file (PEM); makes it HTTPS.")
    tls_key: Path | None = Field(None, description="Key file (PEM) of the certificate.")
    log_format: Literal["plain", "json"] = Field("plain", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines to write."
    )

    @field_validator("models", "cors_origins", "api_keys", mode="before")
    @classmethod
    def split_names(cls, value: Any) -> Any:
        """Take `a,b` as well as a list."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Refuse settings that contradict each other."""
        if self.max_images > self.queue_limit:
            raise ValueError(
                f"max_images ({self.max_images}) is more than queue_limit ({self.queue_limit}), "
                "so the largest requests could never be admitted"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, environment, file: no `.env` and no secrets folder behind one's back."""
        file = os.environ.get(CONFIG_VARIABLE)
        toml = (TomlConfigSettingsSource(settings_cls, file),) if file else ()
        return init_settings, env_settings, *toml


SECRET = ("api_keys", "admin_key")


def load_settings(given: Mapping[str, Any] | None = None) -> Settings:
    """Put together what the command line gave, the environment and the TOML file.

    Raises:
        SettingError: something is unknown or out of range; the text names each.
    """
    _check_environment(os.environ)
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise SettingError(f"{CONFIG_VARIABLE} names {config}, which is not a file")
    try:
        return Settings(**(given or {}))
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False)
        )
        raise SettingError("settings: " + "; ".join(faults)) from error
    except ValueError as error:  # the file is not TOML
        raise SettingError(f"{config}: {error}") from error


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def public_settings(settings: Settings) -> dict[str, Any]:
    """Settings as `/info` shows them: secrets only as present or absent."""
    values = settings.model_dump(mode="json")
    for name in SECRET:
        values[name] = "set" if getattr(settings, name) else "not set"
    return values


def _check_environment(environ: Mapping[str, str]) -> None:
    known = {variable(name) for name in Settings.model_fields} | {CONFIG_VARIABLE} | BUILD_VARIABLES
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"
            raise SettingError(f"no setting is called {name}; {hint}")
