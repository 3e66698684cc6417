"""Messages with millions of fields are rejected before they are parsed; others are parsed."""

import pytest

pytest.importorskip("grpc", reason="needs the extra `grpc`")

from app.errors import BadRequest
from app.oip import inference_pb2 as pb
from app.oip.protobuf_fields import check_fields

REQUEST = pb.ModelInferRequest
# Of ModelInferRequest: inputs = 5, outputs = 6, raw_input_contents = 7; of an input: contents = 5;
# of contents: bytes_contents = 8. A key is number << 3 | 2 for what has a length.
EMPTY_INPUT, EMPTY_OUTPUT, EMPTY_RAW, EMPTY_BYTES = (
    b"\x2a\x00",
    b"\x32\x00",
    b"\x3a\x00",
    b"\x42\x00",
)
UNKNOWN = b"\x98\x06\x01"  # field 99, the number 1


def message(number: int, body: bytes) -> bytes:
    """A field with a length."""
    size, length = len(body), b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + body


def test_a_usual_request_passes() -> None:
    request = REQUEST(model_name="m", id="1")
    image = request.inputs.add(name="image", datatype="BYTES", shape=[32])
    image.contents.bytes_contents.extend([bytes(10_000)] * 32)
    image.parameters["a"].double_param = 1.5
    request.outputs.add(name="probabilities")
    request.raw_input_contents.append(bytes(1_000_000))
    check_fields(request.SerializeToString(), REQUEST)
    check_fields(b"", REQUEST)


@pytest.mark.parametrize("field", [EMPTY_INPUT, EMPTY_OUTPUT, EMPTY_RAW, UNKNOWN])
def test_many_empty_fields_are_rejected(field: bytes) -> None:
    check_fields(field * 5000, REQUEST)
    with pytest.raises(BadRequest, match="more than 5000 fields"):
        check_fields(field * 5001, REQUEST)


def test_fields_are_counted_at_every_depth() -> None:
    nested = message(5, message(5, EMPTY_BYTES * 2500))
    assert len(REQUEST.FromString(nested).inputs[0].contents.bytes_contents) == 2500
    check_fields(nested, REQUEST)
    with pytest.raises(BadRequest, match="more than 5000 fields"):
        check_fields(nested * 2, REQUEST)


def test_what_lies_in_bytes_is_not_counted() -> None:
    check_fields(message(7, EMPTY_INPUT * 10_000), REQUEST)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x2a", id="no-length"),
        pytest.param(b"\x2a\x05ab", id="too-short"),
        pytest.param(b"\x2a\x02\x0a\x05", id="longer-than-its-parent"),
        pytest.param(b"\xff" * 11, id="endless-number"),
        pytest.param(b"\x2f\x00", id="unknown-wire-type"),
    ],
)
def test_what_is_no_message_is_rejected(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not a ModelInferRequest"):
        check_fields(body, REQUEST)
