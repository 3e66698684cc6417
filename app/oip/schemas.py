"""What the protocol has on the wire as JSON, with the names of its specification.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and
Triton's extensions of it (model configuration, model repository, statistics).
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

from app.oip import examples
from app.oip.request import MAX_DIMENSIONS, MAX_PARAMETERS, MAX_TENSORS
from app.wire import Wire, with_example

Parameters = Annotated[
    dict[str, StrictBool | StrictInt | StrictFloat | StrictStr], Field(max_length=MAX_PARAMETERS)
]


class Sent(BaseModel):
    """A part of what a client sends; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class RequestInput(Sent):
    """A tensor: its elements in `data`, or as raw bytes behind the JSON."""

    name: str
    datatype: str = Field(description="`BYTES` for encoded images, `UINT8` for pixels.")
    shape: list[StrictInt] = Field(max_length=MAX_DIMENSIONS)
    parameters: Parameters = Field({}, description="`binary_data_size` of a raw tensor.")
    data: Any = Field(None, description="Images in base64, or whole numbers, nested or flat.")


class RequestOutput(Sent):
    """An output that is wanted."""

    name: str
    parameters: Parameters = Field({}, description="`classification`, `binary_data`.")


class InferenceRequest(Sent):
    """Tensors in."""

    id: str = ""
    model_name: str | None = Field(None, description="KServe's client repeats it here.")
    model_version: str | None = None
    parameters: Parameters = Field(
        {}, description="`binary_data_output`, `resolution`, `timeout` in microseconds."
    )
    inputs: list[RequestInput] = Field(max_length=MAX_TENSORS)
    outputs: list[RequestOutput] = Field(
        [], max_length=MAX_TENSORS, description="None given: all of them."
    )


class ErrorResponse(Wire):
    """What was wrong, as the Open Inference Protocol says it."""

    error: str


class ResponseOutput(Wire):
    """A tensor of the answer; its elements are flat."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = Field(None, description="`binary_data_size` if it is raw.")
    data: list[Any] | None = None


class InferenceResponse(Wire):
    """Tensors out."""

    model_config = with_example(examples.INFERENCE_RESPONSE)

    model_name: str
    model_version: str
    id: str | None = Field(None, description="The request's, if it has one.")
    outputs: list[ResponseOutput]


class ServerMetadata(Wire):
    """What serves here."""

    model_config = with_example(examples.SERVER_METADATA)

    name: str
    version: str
    extensions: list[str]


class ServerLive(Wire):
    """Whether the process lives."""

    model_config = with_example({"live": True})

    live: bool


class ServerReady(Wire):
    """Whether the service takes requests."""

    model_config = with_example({"ready": True})

    ready: bool


class ModelReady(Wire):
    """Whether a model is loaded."""

    model_config = with_example(examples.MODEL_READY)

    name: str
    ready: bool


class TensorMetadata(Wire):
    """A tensor of a model; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Wire):
    """The tensors of a model."""

    model_config = with_example(examples.MODEL_METADATA)

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(Wire):
    """A tensor of a model as Triton's configuration has it, without the batch."""

    name: str
    data_type: str
    format: str | None = None
    dims: list[int]


class ModelConfig(Wire):
    """The part of Triton's model configuration that clients ask for."""

    model_config = with_example(examples.MODEL_CONFIG)

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]


class Duration(Wire):
    """How often something was done, and the nanoseconds of all times together."""

    count: int
    ns: int


class InferStatistics(Wire):
    """What became of the images of a model, and where the time went."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration = Field(description="Decoding.")
    compute_infer: Duration


class ModelStatistics(Wire):
    """What one model did since the start."""

    name: str
    version: str
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics


class Statistics(Wire):
    """What models did since the start."""

    model_config = with_example(examples.STATISTICS)

    model_stats: list[ModelStatistics]


class RepositoryModel(Wire):
    """A model of the store."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(description="Why it is not loaded; empty if it is.")


class RepositoryIndex(RootModel[list[RepositoryModel]]):
    """Every model of the store, loaded or not."""

    model_config = with_example(examples.REPOSITORY_INDEX)


class Done(Wire):
    """It was done; the protocol has no more to say."""

    model_config = with_example({})
