"""Inference requests and answers as messages of `inference.proto`."""

from typing import Any

from app.errors import BadRequest
from app.oip import inference_pb2 as pb
from app.oip.answer import InferAnswer
from app.oip.request import InferRequest, RequestedOutput
from app.oip.tensors import InputTensor, Parameters


def read_request(message: pb.ModelInferRequest) -> InferRequest:
    """The request in a message.

    Raises:
        BadRequest: raw contents are not one a tensor, or stand beside typed ones.
    """
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
        raise BadRequest(f"{tensor.name}: it has both contents and raw_input_contents")
    contents = tensor.contents
    data: list[Any] | None = None
    if raw is None:
        data = list(
            contents.bytes_contents if tensor.datatype == "BYTES" else contents.uint_contents
        )
    shape = tuple(tensor.shape)
    parameters = _parameters(tensor.parameters)
    return InputTensor(tensor.name, tensor.datatype, shape, raw, data, parameters)


def _parameters(given: Any) -> Parameters:
    """A map of protobuf's parameters as plain values; one without a value is None."""
    found = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, kind) if kind else None
    return found
