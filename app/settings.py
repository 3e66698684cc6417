"""The only list of settings: name, type, default, help.

It defines the environment variables (`GATEWAY_` + upper-case name), the keys of the TOML file, the
options of `mobilenet-gateway serve`, docs/settings.md and `/info`. The command line overrides the
environment, which overrides the file. Anything unknown is an error.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    FilePath,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.aliases import parse_aliases
from app.budget import parse_budget
from app.environment import CONFIG_VARIABLE, PREFIX
from app.settings_file import SettingsFile
from app.system.data_folder import default_store
from app.system.service_links import without_service_links

Provider = Literal["tensorrt", "cuda", "openvino", "xnnpack", "cpu"]  # of onnxruntime
Names = Annotated[tuple[str, ...], NoDecode]
ProviderNames = Annotated[tuple[Provider, ...], NoDecode]
Sides = Annotated[tuple[int, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False
    )

    _tables: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 means any free port.")
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for the Open Inference Protocol over gRPC; 0 means any free port. "
        "Needs the extra `grpc`.",
    )
    otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="OpenTelemetry collector for traces (OTLP over HTTP), such as "
        "`http://collector:4318`. Needs the extra `otel`.",
    )
    store: Path = Field(
        default_factory=default_store, description="Folder of the .onnx files to serve."
    )
    heads: Path | None = Field(
        None,
        description="Writable folder for examples and heads that are taught over HTTP; its heads "
        "are served beside the store. Without it /heads is disabled.",
    )
    heads_limit_bytes: int = Field(
        500 * 10**6,
        ge=1024,
        description="Maximum bytes of all examples in `heads`; more is a 507.",
    )
    models: Names = Field((), description="Names of the models to load; empty means all.")
    default_model: str = Field(
        "",
        description="Model for requests that name none; if it is not loaded, the first one. "
        "`auto` chooses a model for each request. Empty means the better form for this CPU, float "
        "or INT8, of `mobilenet_v2_1.0_224` or else of the first model.",
    )
    aliases: str = Field(
        "",
        description="Other names of models, such as `gate=mobilenet_v2_1.0_224,camera`; without "
        "`=`, of the default model.",
    )
    both_forms: bool = Field(
        False,
        description="Load both forms of the default model at start; otherwise the form that does "
        "not answer by default is loaded when a request first uses it.",
    )
    auto_budget: str = Field(
        "",
        description="Limits for `model=auto` if a request sets none, such as "
        "`max_latency_ms=30,min_top1=60`.",
    )
    auto_resolutions: Sides = Field(
        (96, 128, 160, 192, 224),
        description="Resolutions that `auto` may use in addition to the trained one, if they are "
        "smaller.",
    )
    brownout: bool = Field(
        True, description="Let `auto` step down to cheaper models under overload."
    )
    measure_s: float = Field(
        2,
        ge=0,
        le=600,
        description="Seconds to time new models in the background without a pause, while the "
        "service is idle and until all are timed; 0 disables it.",
    )
    allow_untrained: bool = Field(False, description="Serve models with random weights too.")
    providers: ProviderNames = Field(
        (),
        description="Required execution providers, in order: tensorrt, cuda, openvino, xnnpack, "
        "cpu; empty means all that work.",
    )
    workers: int = Field(
        0, ge=0, le=256, description="Threads that decode and infer; 0 means one per usable core."
    )
    lone_image_threads: int = Field(
        0,
        ge=0,
        le=64,
        description="Threads that infer an image of the default model while it is the only one; 0 "
        "means one per usable core, at most `workers`; 1 disables the second session for it.",
    )
    reduced_decode: bool = Field(
        True, description="Decode JPEG at 1/2, 1/4 or 1/8 scale where the crop allows it."
    )
    max_body_bytes: int = Field(
        24 * 2**20, ge=1024, description="Maximum size of a request body; more is a 413."
    )
    max_images: int = Field(
        32, ge=1, le=1024, description="Maximum number of images in a request; more is a 413."
    )
    max_pixels: int = Field(
        100_000_000,
        ge=1024,
        description="Maximum pixels of an image, from its header; more is a 413.",
    )
    max_decode_bytes: int = Field(
        64 * 2**20,
        ge=1,
        description="Maximum memory of all images that the workers decode at once; the helper "
        "process decodes an image that may need more.",
    )
    helper_memory_bytes: int = Field(
        680 * 10**6,
        ge=2**20,
        description="Maximum memory of the image that the helper process decodes; one that may "
        "need more is a 413.",
    )
    helper_cpu_s: float = Field(
        2,
        gt=0,
        le=600,
        description="Maximum seconds of processor time that the helper process spends on an "
        "image; more is a 415.",
    )
    min_side_pixels: int = Field(
        8, ge=1, description="Minimum of the shorter side of an image; less is a 422."
    )

    max_connections: int = Field(
        256,
        ge=1,
        description="Maximum number of HTTP connections; beyond it the one that is idle for "
        "longest is closed, or the new one gets a 503. gRPC may have as many more.",
    )
    connection_max_age_s: float = Field(
        20,
        ge=0,
        le=86_400,
        description="Seconds after which an answer closes its connection, give or take a fifth, so "
        "that new replicas get their share of clients that keep theirs; 0 disables it.",
    )
    queue_limit: int = Field(
        64, ge=1, description="Maximum number of images in the queue; beyond it requests get a 503."
    )
    max_inflight_bytes: int = Field(
        256 * 2**20,
        ge=1024,
        description="Maximum bytes of all request bodies in memory; beyond it requests get a 503.",
    )
    deadline_ms: float = Field(
        10_000,
        gt=0,
        description="Time limit of a request; X-Deadline-Ms can shorten it. A later answer is a "
        "504.",
    )
    batch_max: int = Field(
        1,
        ge=1,
        le=256,
        description="Maximum batch size, limited by `workers`. Use more than 1 only on "
        "accelerators.",
    )
    batch_window_ms: float = Field(
        2, ge=0, le=1000, description="How long the first image of a batch waits for others."
    )
    memory_arena: bool = Field(
        True,
        description="Let onnxruntime keep the memory of activations for the next run; without it "
        "the process needs more memory, not less.",
    )
    cache: bool = Field(
        True, description="Store optimised graphs next to the model store, for a faster restart."
    )
    reload_poll_s: float = Field(
        0,
        ge=0,
        description="Seconds between checks of the store for changed files; 0 disables them.",
    )
    drain_s: float = Field(
        0.5, ge=0, description="On SIGTERM, answer new requests with 503 for at least this long."
    )
    stop_timeout_s: float = Field(
        20, gt=0, description="On SIGTERM, exit after this time even if requests are unfinished."
    )
    capture: Path | None = Field(
        None,
        description="Writable folder in which to keep images that a model is unsure of, to label "
        "them later. Without it no classified image is stored.",
    )
    capture_below: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Keep an image if its highest probability is below this; 0 disables it.",
    )
    capture_unknown: bool = Field(
        True, description="Keep an image if a taught head answers `unknown`."
    )
    capture_audit_rate: float = Field(
        0, ge=0, le=1, description="Share of all other images to keep, at random."
    )
    capture_limit_bytes: int = Field(
        200 * 10**6,
        ge=10**6,
        description="Maximum bytes of all kept images; beyond it the oldest are deleted.",
    )
    capture_max_age_h: float = Field(
        168, gt=0, le=87_600, description="Hours after which a kept image is deleted."
    )
    api_keys: Secrets = Field(
        (),
        description="Accepted API keys. Empty disables authentication. Health checks and the files "
        "of the page never need one.",
    )
    api_keys_file: Path | None = Field(None, description="File with an API key on each line.")
    generate_key: bool = Field(
        False,
        description="If `api_keys` is empty, create a random key in `api_keys_file`, or in "
        "`api.key` in the store without it. A file that exists is kept; the log says where it is.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="Key for POST /models/reload and /models/measure, for /heads and /captures, "
        "and for loading models over the Open Inference Protocol; without it they are disabled.",
    )
    page: bool = Field(True, description="Serve the web page at / and the API reference at /docs.")
    cors_origins: Names = Field(
        (), description="Origins whose pages may call the service; `*` allows all."
    )
    tls_cert: FilePath | None = Field(None, description="Certificate file (PEM); enables HTTPS.")
    tls_key: FilePath | None = Field(None, description="Private key file (PEM) of the certificate.")
    log_format: Literal["plain", "json"] = Field("plain", description="Format of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level of log lines."
    )

    @field_validator(
        "models", "providers", "cors_origins", "api_keys", "auto_resolutions", mode="before"
    )
    @classmethod
    def split_names(cls, value: Any) -> Any:
        """Accept `a,b` as well as a list."""
        if not isinstance(value, str):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if value and not names:
            raise ValueError("it has commas or spaces but no name")
        return names

    @field_validator("admin_key", mode="before")
    @classmethod
    def strip(cls, value: Any) -> Any:
        """Strip the line end of a secrets file, which no header could send."""
        return value.strip() if isinstance(value, str) else value

    @field_validator("heads", "capture", mode="before")
    @classmethod
    def disable_if_empty(cls, value: Any) -> Any:
        """Take empty text, as compose passes it, for no folder, not for the current one."""
        return None if value == "" else value

    @field_validator("store", "host", mode="before")
    @classmethod
    def reject_empty(cls, value: Any) -> Any:
        """Reject empty text: it would mean the current folder, or every address."""
        if value == "":
            raise ValueError("it is empty")
        return value

    @field_validator("auto_resolutions")
    @classmethod
    def check_sides(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        """Reject sides that no model supports and that would be ignored silently."""
        if wrong := [side for side in value if side < 32 or side % 32]:
            raise ValueError(f"{wrong[0]} is not a positive multiple of 32")
        return value

    @field_validator("aliases")
    @classmethod
    def check_aliases(cls, value: str) -> str:
        """Reject text that is no list of aliases."""
        parse_aliases(value)
        return value

    @field_validator("auto_budget")
    @classmethod
    def check_budget(cls, value: str) -> str:
        """Reject an invalid budget at start, not at the first request."""
        parse_budget(value)
        return value

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Reject settings that contradict each other."""
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
        if self.heads and self.heads.absolute() == self.store.absolute():
            raise ValueError(f"heads and store are both {self.heads}; choose different folders")
        if self.port and self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port are both {self.port}; choose different ports")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("set both tls_cert and tls_key, or neither")
        return self

    @property
    def tables(self) -> Mapping[str, Any]:
        """The tables of the TOML file, as they stand there; they may hold passwords."""
        return self._tables

    def with_tables(self, tables: Mapping[str, Any]) -> Self:
        """The same settings with these tables."""
        copy = self.model_copy()
        copy._tables = tables
        return copy

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read command line, environment and file, but no `.env` and no secrets folder."""
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101  pydantic's own
        env_settings.env_vars = without_service_links(env_settings.env_vars)
        file = os.environ.get(CONFIG_VARIABLE)
        toml = (SettingsFile(settings_cls, file),) if file else ()
        return init_settings, env_settings, *toml


SECRET = ("api_keys", "admin_key")
