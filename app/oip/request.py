"""An inference request, and the plan to answer it.

The codecs of REST and gRPC read an `InferRequest`; `plan` checks it against a model. An unknown
parameter is an error, because ignoring it could change the answer.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.card.card import INPUT
from app.errors import BadRequest, TooManyImages
from app.model.model import Model
from app.oip.tensors import InputTensor, Parameters, excerpt, read_files, read_pixels

VERSION = "1"  # a file of the store is one model in one version
REQUEST_PARAMETERS = ("binary_data_output", "resolution", "timeout")
OUTPUT_PARAMETERS = ("binary_data", "classification")
INPUT_PARAMETERS = ("binary_data_size",)
# More than any model here has. Both codecs check these numbers before they read the elements,
# because a message of a few MB can hold millions of empty tensors.
MAX_TENSORS, MAX_PARAMETERS, MAX_DIMENSIONS = 8, 16, 8
MAX_TIMEOUT_US = 10**15  # 30 years: longer than any deadline, and exact as a float

Source = bytes | NDArray[np.uint8]  # an encoded image, or the pixels [H, W, 3]


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request to infer, before it is checked against a model."""

    inputs: tuple[InputTensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Parameters = field(default_factory=dict)
    id: str = ""

    def timeout_ms(self) -> float | None:
        """The client's own time limit; on the wire it is in microseconds.

        Raises:
            BadRequest: it is not a positive whole number.
        """
        timeout_us = self.parameters.get("timeout")
        if timeout_us is None:
            return None
        return min(_positive_integer(timeout_us, "timeout", "microseconds"), MAX_TIMEOUT_US) / 1000


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """One output of an answer. `classes` is the number to rank; 0 means the whole tensor."""

    name: str
    classes: int
    binary: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run for a request. Every source fits the model."""

    sources: list[Source]
    resolution: int
    outputs: tuple[OutputPlan, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs that the model has to compute, each once."""
        return tuple(dict.fromkeys(output.name for output in self.outputs))


def plan(request: InferRequest, model: Model, max_images: int) -> Plan:
    """Check a request against the model that is to answer it.

    Raises:
        BadRequest: the model does not support a tensor, an output or a parameter.
        TooManyImages: there are more than `max_images`.
    """
    _check_names(request.parameters, REQUEST_PARAMETERS, "request")
    outputs = _plan_outputs(request, model)
    if [tensor.name for tensor in request.inputs] != [INPUT]:
        received = ", ".join(repr(excerpt(tensor.name)) for tensor in request.inputs) or "none"
        raise BadRequest(f"{model.name} has one input, {INPUT!r}. Received: {received}.")
    [tensor] = request.inputs
    _check_names(tensor.parameters, INPUT_PARAMETERS, f"input {INPUT}")
    _check_shape(tensor, max_images)
    requested = request.parameters.get("resolution")
    if requested is not None:
        requested = _positive_integer(requested, "resolution", "pixels")
    if tensor.datatype == "BYTES":
        resolution = model.card.resolution if requested is None else requested
        _check_resolution(model, resolution, str(resolution))
        return Plan(list(read_files(tensor)), resolution, outputs)
    resolution, width = tensor.shape[1:3]
    _check_resolution(model, resolution if resolution == width else 0, f"{resolution} x {width}")
    if requested not in (None, resolution):
        raise BadRequest(
            f"resolution is {requested}, but the tensor has {resolution} x {width} pixels."
        )
    return Plan(list(read_pixels(tensor)), resolution, outputs)


def _check_shape(tensor: InputTensor, max_images: int) -> None:
    shape = list(tensor.shape)
    match tensor.datatype, shape:
        case ("UINT8", [count, _, _, 3]) | ("BYTES", [count] | [count, 1]):
            pass
        case ("UINT8", _):
            raise BadRequest(f"{INPUT}: UINT8 pixels have the shape [N, H, W, 3], not {shape}.")
        case ("BYTES", _):
            raise BadRequest(f"{INPUT}: BYTES have the shape [N] or [N, 1], not {shape}.")
        case _:
            raise BadRequest(
                f"{INPUT}: unsupported datatype {excerpt(tensor.datatype)}. "
                "Supported: UINT8 (RGB pixels, 0 to 255), BYTES (encoded images)."
            )
    if min(shape) < 1:
        raise BadRequest(f"{INPUT}: the shape {shape} has no image.")
    if count > max_images:
        raise TooManyImages(f"{count} images in one request; the maximum is {max_images}.")


def _check_resolution(model: Model, resolution: int, received: str) -> None:
    if resolution not in model.card.resolutions:
        raise BadRequest(
            f"{INPUT}: {model.name} supports resolutions of {model.card.resolutions} pixels, "
            f"not {excerpt(received)}. Encoded images (BYTES) can have any size."
        )


def _plan_outputs(request: InferRequest, model: Model) -> tuple[OutputPlan, ...]:
    binary = _boolean(request.parameters, "binary_data_output")
    names = [output.name for output in request.outputs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise BadRequest(f"outputs: {excerpt(repeated[0])!r} is listed more than once.")
    if not request.outputs:
        return tuple(OutputPlan(name, 0, binary) for name in model.outputs)
    return tuple(_plan_output(output, model, binary) for output in request.outputs)


def _plan_output(output: RequestedOutput, model: Model, binary: bool) -> OutputPlan:
    widths = model.outputs
    if output.name not in widths:
        raise BadRequest(
            f"Unknown output {excerpt(output.name)!r}. "
            f"Outputs of {model.name}: {', '.join(widths)}."
        )
    _check_names(output.parameters, OUTPUT_PARAMETERS, f"output {output.name}")
    classes = output.parameters.get("classification", 0)
    if "classification" in output.parameters:
        classes = _positive_integer(classes, "classification", "classes")
        if classes > widths[output.name]:
            raise BadRequest(
                f"classification: {output.name} has {widths[output.name]} values, "
                f"not {excerpt(classes)}."
            )
    if "binary_data" in output.parameters:
        binary = _boolean(output.parameters, "binary_data")
    return OutputPlan(output.name, classes, binary)


def _check_names(parameters: Parameters, known: tuple[str, ...], owner: str) -> None:
    if unknown := sorted(parameters.keys() - set(known)):
        names = ", ".join(repr(excerpt(name)) for name in unknown)
        raise BadRequest(
            f"{owner}: unknown parameter {names}. Supported parameters: {', '.join(known)}."
        )


def _positive_integer(value: Any, name: str, unit: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(f"{name}: {excerpt(value)!r} is not a positive whole number of {unit}.")
    return value


def _boolean(parameters: Parameters, name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name}: {excerpt(value)!r} is not true or false.")
    return value
