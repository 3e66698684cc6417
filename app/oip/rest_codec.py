"""Inference requests and answers as HTTP bodies: JSON, and raw tensors behind it.

The header `Inference-Header-Content-Length` says where the JSON ends and the raw tensors begin, in
the order of the tensors that have a `binary_data_size`. Zero says that there is no JSON at all and
the whole body is the one element of the input: here, an encoded image.
"""

from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from app.card.card import INPUT
from app.errors import BadRequest, RequestError
from app.oip import schemas
from app.oip.answer import InferAnswer
from app.oip.request import InferRequest, RequestedOutput
from app.oip.tensors import InputTensor, OutputTensor, pack_bytes, shown
from app.request.query_string import NoQuery, parse_query

LENGTH_HEADER = "Inference-Header-Content-Length"
JSON, RAW = "application/json", "application/octet-stream"
MAX_MEMBERS = 1000  # of all objects in the JSON of a request; what has a meaning are some 30


def read_request(body: bytes, header_length: str | None, model_name: str) -> InferRequest:
    """The request in a body; `header_length` is the header of that name.

    Raises:
        BadRequest: it is not JSON of the protocol, or the raw tensors do not fit it.
    """
    end = _header_end(header_length, len(body))
    if end == 0 and header_length is not None:
        image = pack_bytes([body])
        return InferRequest((InputTensor(INPUT, "BYTES", (1,), image),))
    _check_members(body, end)
    try:
        found = schemas.InferenceRequest.model_validate_json(body[:end])
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"])) or "body"
        raise BadRequest(f"{shown(where)}: {fault['msg']}") from None
    if found.model_name not in (None, model_name):
        raise BadRequest(
            f"model_name is {shown(found.model_name)!r}, but the path says {model_name!r}"
        )
    return InferRequest(
        inputs=_inputs(found.inputs, memoryview(body)[end:]),
        outputs=tuple(RequestedOutput(one.name, one.parameters) for one in found.outputs),
        parameters=found.parameters,
        id=found.id,
    )


def oip_error_response(error: RequestError) -> Response:
    """Render an error as the protocol does: `{"error": "..."}`."""
    text = to_json(schemas.ErrorResponse(error=error.detail))
    return Response(text, error.status, error.headers, JSON)


def check_query(query_string: bytes) -> None:
    """Refuse any query: the protocol has all that can be chosen in the body.

    Raises:
        BadQuery: there is one.
    """
    if query_string:
        parse_query(NoQuery, query_string)


def write_answer(answer: InferAnswer) -> tuple[bytes, dict[str, str]]:
    """The body of an answer and its headers."""
    raws: list[bytes] = []
    outputs = [_output(output, raws) for output in answer.outputs]
    head = {"model_name": answer.model_name, "model_version": answer.model_version}
    if answer.id:
        head["id"] = answer.id
    text = to_json({**head, "outputs": outputs})
    if not raws:
        return text, {"Content-Type": JSON}
    return b"".join((text, *raws)), {"Content-Type": RAW, LENGTH_HEADER: str(len(text))}


def _header_end(header_length: str | None, body_bytes: int) -> int:
    if header_length is None:
        return body_bytes
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 20:
        raise BadRequest(f"{LENGTH_HEADER}: {shown(header_length)!r} is not a number of bytes")
    if int(header_length) > body_bytes:
        raise BadRequest(f"{LENGTH_HEADER} is {header_length}, but the body has {body_bytes} bytes")
    return int(header_length)


def _check_members(body: bytes, end: int) -> None:
    """Refuse JSON of too many pieces unparsed: of each that is wrong a fault would be made.

    A colon stands before the value of each member; in text there are few but those of data: URLs.
    """
    colons = body.count(b":", 0, end) - body.count(b"data:", 0, end)
    if max(colons, body.count(b"{", 0, end)) > MAX_MEMBERS:
        raise BadRequest(f"the JSON has more than {MAX_MEMBERS} keys or objects")


def _inputs(parts: list[schemas.RequestInput], rest: memoryview) -> tuple[InputTensor, ...]:
    """Give each input that says so its share of the raw bytes."""
    tensors = []
    for part in parts:
        name, size = shown(part.name), part.parameters.get("binary_data_size")
        raw = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(rest):
                raise BadRequest(
                    f"{name}: binary_data_size is {shown(size)}; {len(rest)} bytes are left"
                )
            if part.data is not None:
                raise BadRequest(f"{name}: it has both data and binary_data_size")
            raw, rest = rest[:size], rest[size:]
        elif part.data is None:
            raise BadRequest(f"{name}: it has neither data nor binary_data_size")
        tensors.append(
            InputTensor(
                part.name, part.datatype, tuple(part.shape), raw, part.data, part.parameters
            )
        )
    if len(rest):
        raise BadRequest(f"{len(rest)} bytes behind the last tensor belong to none")
    return tuple(tensors)


def _output(output: OutputTensor, raws: list[bytes]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": output.name,
        "datatype": output.datatype,
        "shape": output.shape,
    }
    if output.binary:
        raws.append(output.raw())
        described["parameters"] = {"binary_data_size": len(raws[-1])}
    else:
        described["data"] = output.json()
    return described
