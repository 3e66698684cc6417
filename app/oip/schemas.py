"""The JSON records of the protocol, with the names of its specification.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and
Triton's extensions of it (model configuration, model repository, statistics).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel, StrictBool, StrictFloat, StrictInt, StrictStr

from app.oip import examples
from app.oip.request import MAX_DIMENSIONS, MAX_PARAMETERS, MAX_TENSORS
from app.wire import Wire, with_example

Parameters = Annotated[
    dict[str, StrictBool | StrictInt | StrictFloat | StrictStr], Field(max_length=MAX_PARAMETERS)
]


class RequestPart(BaseModel, extra="forbid"):
    """A part of a request; unknown fields are errors."""


class RequestInput(RequestPart):
    """A tensor: its elements are in `data` or in raw bytes after the JSON."""

    name: str
    datatype: str = Field(description="`BYTES` for encoded images, `UINT8` for pixels.")
    shape: list[StrictInt] = Field(max_length=MAX_DIMENSIONS)
    parameters: Parameters = Field({}, description="`binary_data_size` of a raw tensor.")
    data: Any = Field(None, description="Images in base64, or whole numbers, nested or flat.")


class RequestOutput(RequestPart):
    """A requested output."""

    name: str
    parameters: Parameters = Field({}, description="`classification`, `binary_data`.")


class InferenceRequest(RequestPart):
    """Input tensors, and the requested outputs."""

    id: str = ""
    model_name: str | None = Field(None, description="If present, the model in the path.")
    model_version: str | None = None
    parameters: Parameters = Field(
        {}, description="`binary_data_output`, `resolution`, `timeout` in microseconds."
    )
    inputs: list[RequestInput] = Field(max_length=MAX_TENSORS)
    outputs: list[RequestOutput] = Field(
        [], max_length=MAX_TENSORS, description="Empty means all outputs."
    )


class ErrorResponse(Wire):
    """An error of the Open Inference Protocol."""

    error: str


class ResponseOutput(Wire):
    """A tensor of the answer; its elements are one flat list."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = Field(
        None, description="`binary_data_size` of a raw tensor."
    )
    data: list[Any] | None = None


class InferenceResponse(Wire, json_schema_extra=with_example(examples.INFERENCE_RESPONSE)):
    """Output tensors."""

    model_name: str
    model_version: str
    id: str | None = Field(None, description="Id of the request, if it has one.")
    parameters: dict[str, str] | None = Field(
        None, description="`warnings`: what seems to be missing from damaged images."
    )
    outputs: list[ResponseOutput]


class ServerMetadata(Wire, json_schema_extra=with_example(examples.SERVER_METADATA)):
    """Name, version and extensions of the service."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(Wire, json_schema_extra=with_example({"live": True})):
    """Whether the process is alive."""

    live: bool


class ServerReady(Wire, json_schema_extra=with_example({"ready": True})):
    """Whether the service accepts requests."""

    ready: bool


class ModelReady(Wire, json_schema_extra=with_example(examples.MODEL_READY)):
    """Whether a model is loaded."""

    name: str
    ready: bool


class TensorMetadata(Wire):
    """A tensor of a model; -1 means any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Wire, json_schema_extra=with_example(examples.MODEL_METADATA)):
    """The tensors of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(Wire):
    """A tensor in Triton's model configuration; `dims` omit the batch."""

    name: str
    data_type: str
    format: str | None = None
    dims: list[int]


class ModelConfig(Wire, json_schema_extra=with_example(examples.MODEL_CONFIG)):
    """The part of Triton's model configuration that clients read."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]


class Duration(Wire):
    """Number of images, and their total time in nanoseconds."""

    count: int
    ns: int


class InferStatistics(Wire):
    """Outcomes and times of the images of a model."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration = Field(description="Time spent on decoding.")
    compute_infer: Duration


class ModelStatistics(Wire):
    """Statistics of one model since the start."""

    name: str
    version: str
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics


class Statistics(Wire, json_schema_extra=with_example(examples.STATISTICS)):
    """Statistics of models since the start."""

    model_stats: list[ModelStatistics]


class RepositoryModel(Wire):
    """A model of the store."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(description="Why it is not loaded; empty if it is.")


class RepositoryIndex(
    RootModel[list[RepositoryModel]], json_schema_extra=with_example(examples.REPOSITORY_INDEX)
):
    """Every model of the store, loaded or not."""


class Done(Wire, json_schema_extra=with_example({})):
    """An empty answer that means success."""
