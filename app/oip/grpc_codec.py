"""Inference requests and answers as messages of `inference.proto`."""

from collections.abc import Sized
from typing import Any

from app.errors import BadRequest
from app.oip import inference_pb2 as pb
from app.oip.answer import InferAnswer
from app.oip.request import (
    MAX_DIMENSIONS,
    MAX_PARAMETERS,
    MAX_TENSORS,
    InferRequest,
    RequestedOutput,
)
from app.oip.tensors import InputTensor, Parameters, shown


def read_request(message: pb.ModelInferRequest) -> InferRequest:
    """The request in a message.

    Raises:
        BadRequest: raw contents are not one a tensor, or stand beside typed ones; or there is far
            more of something than any model takes.
    """
    _check_size(message.inputs, MAX_TENSORS, "inputs")
    _check_size(message.outputs, MAX_TENSORS, "outputs")
    raws = message.raw_input_contents
    if raws and len(raws) != len(message.inputs):
        raise BadRequest(
            f"{len(raws)} raw_input_contents for {len(message.inputs)} inputs; send one each"
        )
    return InferRequest(
        inputs=tuple(
            _input(tensor, raws[index] if raws else None)
            for index, tensor in enumerate(message.inputs)
        ),
        outputs=tuple(
            RequestedOutput(output.name, _parameters(output.parameters))
            for output in message.outputs
        ),
        parameters=_parameters(message.parameters),
        id=message.id,
    )


def write_answer(answer: InferAnswer) -> pb.ModelInferResponse:
    """The message of an answer; its tensors are raw."""
    message = pb.ModelInferResponse(
        model_name=answer.model_name, model_version=answer.model_version, id=answer.id
    )
    for output in answer.outputs:
        message.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        message.raw_output_contents.append(output.raw())
    return message


def _input(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> InputTensor:
    typed = tensor.HasField("contents")
    if typed and raw is not None:
        raise BadRequest(f"{shown(tensor.name)}: it has both contents and raw_input_contents")
    contents = tensor.contents
    data: Any = None
    if raw is None:
        data = contents.bytes_contents if tensor.datatype == "BYTES" else contents.uint_contents
    _check_size(tensor.shape, MAX_DIMENSIONS, "dimensions")
    shape = tuple(tensor.shape)
    parameters = _parameters(tensor.parameters)
    return InputTensor(tensor.name, tensor.datatype, shape, raw, data, parameters)


def _parameters(given: Any) -> Parameters:
    """A map of protobuf's parameters as plain values; one without a value is None."""
    _check_size(given, MAX_PARAMETERS, "parameters")
    found = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, kind) if kind else None
    return found


def _check_size(sent: Sized, most: int, what: str) -> None:
    """Refuse by the number alone, without a look at each."""
    if len(sent) > most:
        raise BadRequest(f"{len(sent)} {what} are too many; the limit is {most}")
