"""Inference requests and answers as HTTP bodies: JSON, which raw tensors may follow.

The header `Inference-Header-Content-Length` is the length of the JSON. The raw tensors follow in
the order of the tensors that have a `binary_data_size`. Zero means that there is no JSON and the
whole body is the only element of the input: here, an encoded image.
"""

from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from app.card.card import INPUT
from app.errors import BadRequest, RequestError
from app.oip import schemas
from app.oip.answer import InferAnswer
from app.oip.request import VERSION, InferRequest, RequestedOutput
from app.oip.tensors import InputTensor, OutputTensor, excerpt, pack_bytes
from app.request.json_text import JsonLimits, read_model

LENGTH_HEADER = "Inference-Header-Content-Length"
JSON, RAW = "application/json", "application/octet-stream"
# Pixels of 2 images of 224 x 224 in a flat list, or of one image in nested lists. A valid request
# has about 30 keys, and a text for each image.
JSON_LIMITS = JsonLimits(commas=310_000, lists=60_000, objects=1000, quotes=4000)


def read_json_bytes(header_length: str | None) -> int | None:
    """Read `Inference-Header-Content-Length`; without it, all of the body is JSON.

    Raises:
        BadRequest: it is not a number.
    """
    if header_length is None:
        return None
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 20:
        raise BadRequest(f"{LENGTH_HEADER}: {excerpt(header_length)!r} is not a number of bytes.")
    return int(header_length)


def read_request(body: bytes, json_bytes: int | None, model_name: str) -> InferRequest:
    """Read the request in a body, whose structure was counted as it arrived.

    Raises:
        BadRequest: it is not JSON of the protocol, or the raw tensors do not match it.
    """
    if json_bytes == 0:
        return InferRequest((InputTensor(INPUT, "BYTES", (1,), pack_bytes([body])),))
    end = len(body) if json_bytes is None else json_bytes
    if end > len(body):
        raise BadRequest(f"{LENGTH_HEADER} is {end}, but the body has {len(body)} bytes.")
    request = read_model(schemas.InferenceRequest, body[:end])
    if request.model_name not in (None, model_name):
        raise BadRequest(
            f"model_name is {excerpt(request.model_name)!r}, but the path says {model_name!r}."
        )
    return InferRequest(
        inputs=_input_tensors(request.inputs, memoryview(body)[end:]),
        outputs=tuple(
            RequestedOutput(output.name, output.parameters) for output in request.outputs
        ),
        parameters=request.parameters,
        id=request.id,
    )


def oip_error_response(error: RequestError) -> Response:
    """Render an error as the protocol does: `{"error": "..."}`."""
    text = to_json(schemas.ErrorResponse(error=error.detail))
    return Response(text, error.status, error.headers, JSON)


def write_answer(answer: InferAnswer) -> tuple[bytes, dict[str, str]]:
    """Write the body of an answer and its headers."""
    raw_tensors: list[bytes] = []
    outputs = [_describe_output(output, raw_tensors) for output in answer.outputs]
    head: dict[str, Any] = {"model_name": answer.model_name, "model_version": VERSION}
    if answer.id:
        head["id"] = answer.id
    if answer.warnings:
        head["parameters"] = {"warnings": answer.warnings}
    text = to_json({**head, "outputs": outputs})
    if not raw_tensors:
        return text, {"Content-Type": JSON}
    return b"".join((text, *raw_tensors)), {"Content-Type": RAW, LENGTH_HEADER: str(len(text))}


def _input_tensors(inputs: list[schemas.RequestInput], rest: memoryview) -> tuple[InputTensor, ...]:
    """Assign its raw bytes to each input that has a `binary_data_size`."""
    tensors = []
    for item in inputs:
        name, size = excerpt(item.name), item.parameters.get("binary_data_size")
        raw = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(rest):
                raise BadRequest(
                    f"{name}: binary_data_size is {excerpt(size)}, but {len(rest)} bytes are left."
                )
            if item.data is not None:
                raise BadRequest(f"{name} has both data and binary_data_size.")
            raw, rest = rest[:size], rest[size:]
        elif item.data is None:
            raise BadRequest(f"{name} has neither data nor binary_data_size.")
        tensors.append(
            InputTensor(
                item.name, item.datatype, tuple(item.shape), raw, item.data, item.parameters
            )
        )
    if len(rest):
        raise BadRequest(f"{len(rest)} bytes follow the last tensor.")
    return tuple(tensors)


def _describe_output(output: OutputTensor, raw_tensors: list[bytes]) -> dict[str, Any]:
    """Describe an output in JSON; a binary one is added to `raw_tensors`."""
    described: dict[str, Any] = {
        "name": output.name,
        "datatype": output.datatype,
        "shape": output.shape,
    }
    if output.binary:
        raw_tensors.append(output.raw())
        described["parameters"] = {"binary_data_size": len(raw_tensors[-1])}
    else:
        described["data"] = output.json()
    return described
