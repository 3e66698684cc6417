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

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.budget import parse_budget
from app.errors import SettingError

PREFIX = "GATEWAY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
BUILD_VARIABLES = {f"{PREFIX}WEIGHTS"}  # read by the commands that prepare models

Provider = Literal["tensorrt", "cuda", "openvino", "xnnpack", "cpu"]  # of onnxruntime
Names = Annotated[tuple[str, ...], NoDecode]
ProviderNames = Annotated[tuple[Provider, ...], NoDecode]
Sides = Annotated[tuple[int, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    """What a person can choose about the service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for the Open Inference Protocol over gRPC, which needs the extra `grpc`; "
        "0 takes a free one.",
    )
    otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="Address of an OpenTelemetry collector for traces, such as "
        "`http://collector:4318` (OTLP over HTTP), which needs the extra `otel`.",
    )
    store: Path = Field(Path("models/store"), description="Folder of the .onnx files to serve.")
    models: Names = Field((), description="Names of the models to load; empty loads all.")
    default_model: str = Field(
        "mobilenet_v2_1.0_224",
        description="Model that answers when a request names none; if it is not loaded, the first. "
        "`auto` chooses one for each request.",
    )
    auto_budget: str = Field(
        "",
        description="Limits for `model=auto` where a request sets none, such as "
        "`max_latency_ms=30,min_top1=60`.",
    )
    auto_resolutions: Sides = Field(
        (96, 128, 160, 192, 224),
        description="Resolutions that `auto` may run a model at, besides the trained one, if they "
        "are smaller.",
    )
    brownout: bool = Field(
        True, description="Under overload let `auto` step down to cheaper models until it is over."
    )
    measure_s: float = Field(
        2,
        ge=0,
        le=600,
        description="Time to measure models that are new, beside requests; 0 measures none.",
    )
    allow_untrained: bool = Field(False, description="Serve models with random weights too.")
    providers: ProviderNames = Field(
        (),
        description="What must run the models, in order: tensorrt, cuda, openvino, xnnpack, cpu; "
        "empty takes what works.",
    )
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
    max_decode_bytes: int = Field(
        256 * 2**20,
        ge=1,
        description="Most memory that images being decoded take together; one that takes more is "
        "decoded alone.",
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
    batch_max: int = Field(
        1,
        ge=1,
        le=256,
        description="Most images to run in one go, one a worker; for accelerators, 1 on a CPU.",
    )
    batch_window_ms: float = Field(
        2, ge=0, le=1000, description="How long the first image of a batch waits for others."
    )
    memory_arena: bool = Field(
        True,
        description="Let onnxruntime keep the memory of activations for the next run; without it "
        "the process takes more, not less.",
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
        (),
        description="Keys, any of which opens all but health and the page's own files; empty asks "
        "for none.",
    )
    api_keys_file: Path | None = Field(None, description="File with one API key a line.")
    admin_key: SecretStr | None = Field(
        None,
        description="Key for POST /models/reload and /models/measure, and for loading by the Open "
        "Inference Protocol; without it they are off.",
    )
    page: bool = Field(True, description="Serve the web page at / and the reference at /docs.")
    cors_origins: Names = Field((), description="Origins whose pages may call; `*` allows all.")
    tls_cert: FilePath | None = Field(None, description="Certificate file (PEM); makes it HTTPS.")
    tls_key: FilePath | None = Field(None, description="Key file (PEM) of the certificate.")
    log_format: Literal["plain", "json"] = Field("plain", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines to write."
    )

    @field_validator(
        "models", "providers", "cors_origins", "api_keys", "auto_resolutions", mode="before"
    )
    @classmethod
    def split_names(cls, value: Any) -> Any:
        """Take `a,b` as well as a list."""
        if not isinstance(value, str):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if value and not names:
            raise ValueError("it has commas or spaces, but no name")
        return names

    @field_validator("admin_key", mode="before")
    @classmethod
    def strip(cls, value: Any) -> Any:
        """A line's end from a file of secrets is no part of the key, and no header can bring it."""
        return value.strip() if isinstance(value, str) else value

    @field_validator("store", "host", mode="before")
    @classmethod
    def refuse_empty(cls, value: Any) -> Any:
        """An empty name would be the current folder, and an empty address every one there is."""
        if value == "":
            raise ValueError("it is empty")
        return value

    @field_validator("auto_resolutions")
    @classmethod
    def check_sides(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        """Refuse what no model of the family takes; it would be left out without a word."""
        if wrong := [side for side in value if side < 32 or side % 32]:
            raise ValueError(f"{wrong[0]} is no multiple of 32 above 0")
        return value

    @field_validator("auto_budget")
    @classmethod
    def check_budget(cls, value: str) -> str:
        """Refuse what is no budget at start, not at the first request."""
        parse_budget(value)
        return value

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Refuse settings that contradict each other."""
        if self.max_images > self.queue_limit:
            raise ValueError(
                f"max_images ({self.max_images}) is more than queue_limit ({self.queue_limit}), "
                "so the largest requests could never be admitted"
            )
        if self.max_body_bytes > self.max_inflight_bytes:
            raise ValueError(
                f"max_body_bytes ({self.max_body_bytes}) is more than max_inflight_bytes "
                f"({self.max_inflight_bytes}), so the largest bodies could never be admitted"
            )
        if self.drain_s > self.stop_timeout_s:
            raise ValueError(
                f"drain_s ({self.drain_s:g}) is more than stop_timeout_s "
                f"({self.stop_timeout_s:g}), so every stop would be cut short"
            )
        if self.port and self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port are both {self.port}; choose two")
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
        faults = error.errors(include_url=False, include_context=False)
        raise SettingError("; ".join(_describe(dict(fault)) for fault in faults)) from error
    except (OSError, ValueError) as error:  # the file cannot be read, or is not TOML
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


def settings_table() -> str:
    """The list of settings in Markdown, as README has it."""
    rows = ["| setting | environment variable | default | what it does |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| `{name}` | `{variable(name)}` | {_default(field.default)} | {field.description} |"
        )
    return "\n".join(rows)


def _default(value: Any) -> str:
    """A default as one would type it."""
    if value in (None, (), ""):
        return "none"
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _describe(fault: Mapping[str, Any]) -> str:
    """Name the setting, its variable, its value unless that is secret, and what is wrong."""
    if not fault["loc"]:
        return str(fault["msg"]).removeprefix("Value error, ")
    name = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        known = {field: field for field in Settings.model_fields}
        return f"no setting is called {name}; {_nearest(name.lower(), known)}"
    value = "" if name in SECRET else f" is {str(fault['input'])!r}"
    return f"{name} ({variable(name)}){value}: {str(fault['msg']).removeprefix('Value error, ')}"


def _nearest(name: str, known: Mapping[str, str]) -> str:
    """Suggest one of `known`: names in lower case without prefix, and how they are written."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {known[near[0]]}?" if near else f"there are: {', '.join(known.values())}"


def _check_environment(environ: Mapping[str, str]) -> None:
    """Refuse variables that look like a setting and are none; pydantic passes over them."""
    variables = [*map(variable, Settings.model_fields), CONFIG_VARIABLE, *BUILD_VARIABLES]
    known = {name.removeprefix(PREFIX).lower(): name for name in variables}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name not in variables:
            hint = _nearest(name[len(PREFIX) :].lower(), known)
            raise SettingError(f"no setting is called {name}; {hint}")
