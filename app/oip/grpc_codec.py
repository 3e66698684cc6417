"""Inference requests, answers and errors on the wire of gRPC."""

from collections.abc import Sized
from typing import Any

import grpc

from app.errors import BadRequest, Overloaded, RequestError, TooManyBytes
from app.oip import inference_pb2 as pb
from app.oip.answer import InferAnswer
from app.oip.request import (
    MAX_DIMENSIONS,
    MAX_PARAMETERS,
    MAX_TENSORS,
    VERSION,
    InferRequest,
    RequestedOutput,
)
from app.oip.tensors import InputTensor, Parameters, excerpt

MAX_DETAIL_BYTES = 2000  # of an error; escaped it can be 3 times as long, and trailers hold 8 KB
# The gRPC status for each HTTP status. The log and the metrics have the HTTP status.
STATUS_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    499: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def read_request(message: pb.ModelInferRequest) -> InferRequest:
    """Read the request in a message.

    Raises:
        BadRequest: the number of raw contents is wrong, a tensor has both raw and typed contents,
            or there are more tensors, dimensions or parameters than allowed.
    """
    _check_size(message.inputs, MAX_TENSORS, "inputs")
    _check_size(message.outputs, MAX_TENSORS, "outputs")
    raw_contents = message.raw_input_contents
    if raw_contents and len(raw_contents) != len(message.inputs):
        raise BadRequest(
            f"{len(raw_contents)} raw_input_contents for {len(message.inputs)} inputs. "
            "Send one per input."
        )
    return InferRequest(
        inputs=tuple(
            _input_tensor(tensor, raw_contents[index] if raw_contents else None)
            for index, tensor in enumerate(message.inputs)
        ),
        outputs=tuple(
            RequestedOutput(output.name, _plain_parameters(output.parameters))
            for output in message.outputs
        ),
        parameters=_plain_parameters(message.parameters),
        id=message.id,
    )


def write_answer(answer: InferAnswer) -> pb.ModelInferResponse:
    """Write the message of an answer; its tensors are raw."""
    message = pb.ModelInferResponse(
        model_name=answer.model_name, model_version=VERSION, id=answer.id
    )
    if answer.warnings:
        message.parameters["warnings"].string_param = answer.warnings
    for output in answer.outputs:
        message.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        message.raw_output_contents.append(output.raw())
    return message


def status_code(error: RequestError) -> grpc.StatusCode:
    if isinstance(error, Overloaded | TooManyBytes):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    return STATUS_CODES[error.status]


def error_text(error: RequestError) -> str:
    """The detail of an error, shortened, because it may repeat a name of any length."""
    return error.detail.encode()[:MAX_DETAIL_BYTES].decode(errors="ignore")


def _input_tensor(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> InputTensor:
    if raw is not None and tensor.HasField("contents"):
        raise BadRequest(f"{excerpt(tensor.name)} has both contents and raw_input_contents.")
    data: Any = None
    if raw is None:
        contents = tensor.contents
        data = contents.bytes_contents if tensor.datatype == "BYTES" else contents.uint_contents
    _check_size(tensor.shape, MAX_DIMENSIONS, "dimensions")
    parameters = _plain_parameters(tensor.parameters)
    return InputTensor(tensor.name, tensor.datatype, tuple(tensor.shape), raw, data, parameters)


def _plain_parameters(parameters: Any) -> Parameters:
    """Read protobuf's map of parameters as plain values; one without a value is None."""
    _check_size(parameters, MAX_PARAMETERS, "parameters")
    values = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        values[name] = getattr(parameter, kind) if kind else None
    return values


def _check_size(items: Sized, maximum: int, plural: str) -> None:
    if len(items) > maximum:
        raise BadRequest(f"{len(items)} {plural} are too many; the maximum is {maximum}.")
