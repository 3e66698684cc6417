"""The bytes of the protocol, written down as its specification has them.

"Binary Tensor Data Extension" and `open_inference_grpc.proto` of the Open Inference Protocol:
little-endian, row-major, no padding; a BYTES element is its length in 4 bytes and its content.
"""

import json

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import RequestError
from app.oip import grpc_codec, rest_codec
from app.oip import inference_pb2 as pb
from app.oip.answer import InferAnswer
from app.oip.request import InferRequest
from app.oip.tensors import (
    InputTensor,
    OutputTensor,
    pack_bytes,
    read_files,
    read_pixels,
    unpack_bytes,
)
from tests.app.http.test_openapi import request_errors

# Lengths that are other numbers in the other byte order: 0, 3, 258.
FILES = [b"", b"abc", b"z" * 258]
FILES_RAW = b"\x00\x00\x00\x00\x03\x00\x00\x00abc\x02\x01\x00\x00" + b"z" * 258

NUMBERS = [[1.0, -2.5, 0.1], [3.4028235e38, 1e-45, -0.0]]
NUMBERS_RAW = (
    b"\x00\x00\x80\x3f" b"\x00\x00\x20\xc0" b"\xcd\xcc\xcc\x3d"
    b"\xff\xff\x7f\x7f" b"\x01\x00\x00\x00" b"\x00\x00\x00\x80"
)  # fmt: skip
LAYOUTS = {
    "plain": np.array(NUMBERS, "<f4"),
    "columns first": np.array(NUMBERS, "<f4", order="F"),
    "big-endian": np.array(NUMBERS, ">f4"),
    "every second": np.repeat(np.array(NUMBERS, "<f4"), 2, axis=1)[:, ::2],
}
TEXTS = [[b"0.75:1:dog", b"0.25:0:cat"]]
TEXTS_RAW = b"\x0a\x00\x00\x000.75:1:dog\x0a\x00\x00\x000.25:0:cat"


def test_elements_of_bytes_follow_their_lengths() -> None:
    assert pack_bytes(FILES) == FILES_RAW
    assert unpack_bytes(FILES_RAW) == FILES
    assert unpack_bytes(b"\x00\x00\x01\x00" + b"y" * 65_536) == [b"y" * 65_536]


@pytest.mark.parametrize("values", LAYOUTS.values(), ids=LAYOUTS)
def test_numbers_are_little_endian_row_by_row(values: NDArray[np.float32]) -> None:
    tensor = OutputTensor("probabilities", values)
    assert (tensor.datatype, tensor.shape, tensor.raw()) == ("FP32", [2, 3], NUMBERS_RAW)


def test_texts_are_elements_of_bytes() -> None:
    tensor = OutputTensor("probabilities", TEXTS)
    assert (tensor.datatype, tensor.shape, tensor.raw()) == ("BYTES", [1, 2], TEXTS_RAW)


def test_pixels_are_row_by_row_with_the_colour_last() -> None:
    raw = bytes(range(24))
    pixels = read_pixels(InputTensor("image", "UINT8", (2, 2, 2, 3), raw))
    assert pixels[0, 0, 0].tolist() == [0, 1, 2]
    assert pixels[0, 0, 1].tolist() == [3, 4, 5]
    assert pixels[0, 1, 0].tolist() == [6, 7, 8]
    assert pixels[1, 0, 0].tolist() == [12, 13, 14]


# HTTP: JSON, then raw tensors in the order of those that have a size


def test_a_request_with_raw_tensors_over_http() -> None:
    head = (
        b'{"id":"7","inputs":[{"name":"image","shape":[3],"datatype":"BYTES",'
        b'"parameters":{"binary_data_size":273}},'
        b'{"name":"more","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}}],'
        b'"parameters":{"timeout":2500}}'
    )
    request = rest_codec.read_request(head + FILES_RAW + b"\x05\x06", len(head), "m")
    first, second = request.inputs
    assert read_files(first) == FILES
    assert read_pixels(second).tolist() == [5, 6]
    assert request.id == "7"
    assert request.timeout_ms() == 2.5  # microseconds on the wire


def test_a_body_without_json_is_the_image_itself() -> None:
    request = rest_codec.read_request(b"\xff\xd8 a JPEG", 0, "m")
    [tensor] = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("image", "BYTES", (1,))
    assert read_files(tensor) == [b"\xff\xd8 a JPEG"]


def test_an_answer_with_raw_tensors_over_http() -> None:
    answer = InferAnswer(
        "m",
        [
            OutputTensor("probabilities", TEXTS, binary=True),
            OutputTensor("logits", np.array([[0.5, 2.0]], "<f4")),
            OutputTensor("embedding", LAYOUTS["plain"], binary=True),
        ],
        "7",
    )
    body, headers = rest_codec.write_answer(answer)
    head = (
        b'{"model_name":"m","model_version":"1","id":"7","outputs":['
        b'{"name":"probabilities","datatype":"BYTES","shape":[1,2],'
        b'"parameters":{"binary_data_size":28}},'
        b'{"name":"logits","datatype":"FP32","shape":[1,2],"data":[0.5,2.0]},'
        b'{"name":"embedding","datatype":"FP32","shape":[2,3],'
        b'"parameters":{"binary_data_size":24}}]}'
    )
    assert body == head + TEXTS_RAW + NUMBERS_RAW
    assert headers == {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }


def test_warnings_are_a_parameter_of_the_answer() -> None:
    answer = InferAnswer("m", [], warnings="image 0 of 1: cut off")
    body, _ = rest_codec.write_answer(answer)
    assert json.loads(body)["parameters"] == {"warnings": "image 0 of 1: cut off"}
    # Field 4 is `parameters`, a map; 3 of its value is `string_param`.
    parameter = b"\x0a\x08warnings\x12\x17\x1a\x15image 0 of 1: cut off"
    message = grpc_codec.write_answer(answer)
    assert b"\x22" + bytes([len(parameter)]) + parameter in message.SerializeToString()


def test_an_answer_in_json_over_http() -> None:
    body, headers = rest_codec.write_answer(
        InferAnswer("m", [OutputTensor("probabilities", TEXTS)])
    )
    assert json.loads(body) == {
        "model_name": "m",
        "model_version": "1",
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "BYTES",
                "shape": [1, 2],
                "data": ["0.75:1:dog", "0.25:0:cat"],
            }
        ],
    }
    assert headers == {"Content-Type": "application/json"}


# gRPC: protobuf with the numbers of the fields in `open_inference_grpc.proto`


def request_over_grpc(message: bytes) -> InferRequest:
    return grpc_codec.read_request(pb.ModelInferRequest.FromString(message))


def field(number: int, content: bytes) -> bytes:
    """A field of the wire type "length-delimited", of up to 16383 bytes."""
    size = len(content)
    varint = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + varint + content


def test_a_request_with_raw_contents_over_grpc() -> None:
    image = field(1, b"image") + field(2, b"BYTES") + field(3, b"\x03")
    more = field(1, b"more") + field(2, b"UINT8") + field(3, b"\x01\x02")
    message = b"".join(
        [
            field(1, b"m"), field(2, b"1"), field(3, b"7"),
            field(4, field(1, b"timeout") + field(2, b"\x10\xc4\x13")),  # an int64_param of 2500
            field(5, image), field(5, more),
            field(6, field(1, b"embedding")),
            field(7, FILES_RAW), field(7, b"\x05\x06"),
        ]
    )  # fmt: skip
    request = request_over_grpc(message)
    first, second = request.inputs
    assert read_files(first) == FILES
    assert read_pixels(second).tolist() == [[5, 6]]
    assert [output.name for output in request.outputs] == ["embedding"]
    assert request.id == "7"
    assert request.timeout_ms() == 2.5


def test_a_request_with_typed_contents_over_grpc() -> None:
    files = b"".join(field(8, element) for element in FILES)
    image = field(1, b"image") + field(2, b"BYTES") + field(3, b"\x03") + field(5, files)
    more = (
        field(1, b"more")
        + field(2, b"UINT8")
        + field(3, b"\x02")
        + field(
            5,
            field(4, b"\x05\xfa\x01"),  # 5 and 250 as varints
        )
    )
    first, second = request_over_grpc(field(5, image) + field(5, more)).inputs
    assert read_files(first) == FILES
    assert read_pixels(second).tolist() == [5, 250]


def test_an_answer_over_grpc_has_raw_contents_in_the_order_of_its_outputs() -> None:
    answer = InferAnswer(
        "m",
        [OutputTensor("probabilities", TEXTS), OutputTensor("embedding", LAYOUTS["plain"])],
        "7",
    )
    texts = field(1, b"probabilities") + field(2, b"BYTES") + field(3, b"\x01\x02")
    numbers = field(1, b"embedding") + field(2, b"FP32") + field(3, b"\x02\x03")
    assert grpc_codec.write_answer(answer).SerializeToString(deterministic=True) == b"".join(
        [
            field(1, b"m"), field(2, b"1"), field(3, b"7"),
            field(5, texts), field(5, numbers),
            field(6, TEXTS_RAW), field(6, NUMBERS_RAW),
        ]
    )  # fmt: skip


# gRPC's status by number, as in grpc/grpc `doc/statuscodes.md` and google.rpc.Code
NUMBERS_OF_STATUS = {
    400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 409: 9, 413: 3, 415: 3, 422: 3, 499: 1,
    500: 13, 501: 12, 503: 14, 504: 4, 507: 8,
}  # fmt: skip
EXHAUSTED = 8
EXHAUSTING = {"overloaded", "too-many-bytes"}


@pytest.mark.parametrize(
    "kind",
    [kind for kind in request_errors() if kind.status != 405],  # gRPC has no methods
    ids=lambda kind: kind.type,
)
def test_every_error_has_its_number_over_grpc(kind: type[RequestError]) -> None:
    expected = EXHAUSTED if kind.type in EXHAUSTING else NUMBERS_OF_STATUS[kind.status]
    found = grpc_codec.status_code(kind("why"))
    assert isinstance(found, grpc.StatusCode)
    assert found.value[0] == expected
