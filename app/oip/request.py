"""An inference request, whichever way it came, and what it asks for.

REST and gRPC read their own wire into an `InferRequest`; `plan` checks it against a model. A
parameter that would change the answer if it were known here is an error, never passed over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.card.card import INPUT
from app.errors import BadRequest, TooManyImages
from app.model.model import Model
from app.oip.tensors import InputTensor, Parameters, read_files, read_pixels, shown

VERSION = "1"  # a file of the store is one model in one version
REQUEST_PARAMETERS = ("binary_data_output", "resolution", "timeout")
OUTPUT_PARAMETERS = ("binary_data", "classification")
INPUT_PARAMETERS = ("binary_data_size",)
# More than any model here takes. Both wires check them before they look at what there is so much
# of, since a message of a few MB holds millions of empty tensors.
MAX_TENSORS, MAX_PARAMETERS, MAX_DIMENSIONS = 8, 16, 8
LONGEST_US = 10**15  # 30 years: more than any deadline, and what a float still takes

Source = bytes | NDArray[np.uint8]  # an encoded image, or one of [H, W, 3]


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request names, and how it wants it."""

    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client sends to infer."""

    inputs: tuple[InputTensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Parameters = field(default_factory=dict)
    id: str = ""

    def timeout_ms(self) -> float | None:
        """The time that the client gives; on the wire it is in microseconds.

        Raises:
            BadRequest: it is not a whole number above 0.
        """
        timeout_us = self.parameters.get("timeout")
        if timeout_us is None:
            return None
        return min(_whole(timeout_us, "timeout", "microseconds"), LONGEST_US) / 1000


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """One output of an answer. `classes` is how many to rank, 0 for the whole tensor."""

    name: str
    classes: int
    binary: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run for a request, checked: every source fits the model."""

    sources: list[Source]
    resolution: int
    outputs: tuple[OutputPlan, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs that the model has to compute, each once."""
        return tuple(dict.fromkeys(output.name for output in self.outputs))


def plan(request: InferRequest, model: Model, max_images: int) -> Plan:
    """Check a request against the model that shall answer it.

    Raises:
        BadRequest: a tensor, an output or a parameter is none that the model has or takes.
        TooManyImages: there are more than `max_images`.
    """
    _check_names(request.parameters, REQUEST_PARAMETERS, "request")
    outputs = _plan_outputs(request, model)
    if [tensor.name for tensor in request.inputs] != [INPUT]:
        given = ", ".join(repr(shown(tensor.name)) for tensor in request.inputs) or "none"
        raise BadRequest(f"{model.name} has one input, {INPUT!r}; given: {given}")
    [tensor] = request.inputs
    _check_names(tensor.parameters, INPUT_PARAMETERS, f"input {INPUT}")
    _check_shape(tensor, max_images)
    asked = request.parameters.get("resolution")
    if asked is not None:
        asked = _whole(asked, "resolution", "pixels")
    if tensor.datatype == "BYTES":
        resolution = model.card.resolution if asked is None else asked
        _check_resolution(model, resolution, f"resolution {resolution}")
        return Plan(list(read_files(tensor)), resolution, outputs)
    resolution, width = tensor.shape[1:3]
    _check_resolution(model, resolution if resolution == width else 0, f"{resolution} x {width}")
    if asked not in (None, resolution):
        raise BadRequest(f"resolution is {asked}, but the tensor has {resolution} x {width} pixels")
    return Plan(list(read_pixels(tensor)), resolution, outputs)


def _check_shape(tensor: InputTensor, max_images: int) -> None:
    shape = list(tensor.shape)
    match tensor.datatype, shape:
        case ("UINT8", [count, _, _, 3]) | ("BYTES", [count] | [count, 1]):
            pass
        case ("UINT8", _):
            raise BadRequest(f"{INPUT}: UINT8 pixels have the shape [N, H, W, 3], not {shape}")
        case ("BYTES", _):
            raise BadRequest(f"{INPUT}: BYTES have the shape [N] or [N, 1], not {shape}")
        case _:
            raise BadRequest(
                f"{INPUT}: the datatype is UINT8 (pixels, RGB, 0 to 255) or BYTES (encoded "
                f"images), not {shown(tensor.datatype)}"
            )
    if min(shape) < 1:
        raise BadRequest(f"{INPUT}: the shape {shape} holds no image")
    if count > max_images:
        raise TooManyImages(f"{count} images in one request; the limit is {max_images}")


def _check_resolution(model: Model, resolution: int, given: str) -> None:
    if resolution not in model.card.resolutions:
        raise BadRequest(
            f"{INPUT}: {model.name} takes squares of {model.card.resolutions} pixels, "
            f"not {shown(given)}; encoded images (BYTES) may have any size"
        )


def _plan_outputs(request: InferRequest, model: Model) -> tuple[OutputPlan, ...]:
    widths = model.outputs
    binary = _flag(request.parameters, "binary_data_output")
    names = [output.name for output in request.outputs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise BadRequest(f"outputs: {shown(repeated[0])!r} is there more than once")
    if not request.outputs:
        return tuple(OutputPlan(name, 0, binary) for name in widths)
    return tuple(_plan_output(output, model, widths, binary) for output in request.outputs)


def _plan_output(
    output: RequestedOutput, model: Model, widths: Mapping[str, int], binary: bool
) -> OutputPlan:
    if output.name not in widths:
        raise BadRequest(
            f"{model.name} has no output {shown(output.name)!r}; it has {', '.join(widths)}"
        )
    _check_names(output.parameters, OUTPUT_PARAMETERS, f"output {output.name}")
    classes = output.parameters.get("classification", 0)
    if "classification" in output.parameters:
        classes = _whole(classes, "classification", "classes")
        if classes > widths[output.name]:
            raise BadRequest(
                f"classification: {output.name} has {widths[output.name]} values, "
                f"not {shown(classes)}"
            )
    if "binary_data" in output.parameters:
        binary = _flag(output.parameters, "binary_data")
    return OutputPlan(output.name, classes, binary)


def _check_names(parameters: Parameters, known: tuple[str, ...], owner: str) -> None:
    if unknown := sorted(parameters.keys() - set(known)):
        named = ", ".join(repr(shown(name)) for name in unknown)
        raise BadRequest(
            f"{owner}: unknown parameter {named}. Supported parameters: {', '.join(known)}."
        )


def _whole(value: Any, name: str, unit: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(f"{name}: {shown(value)!r} is not a number of {unit} above 0")
    return value


def _flag(parameters: Parameters, name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name}: {shown(value)!r} is not true or false")
    return value
