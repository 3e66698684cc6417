"""The fuzzer finds the faults that it is made for."""

import io
from http.client import HTTPResponse
from random import Random

import pytest
from PIL import Image

from app.errors import NotAnImage
from app.problem import MEDIA_TYPE, to_problem
from loadtest.robustness.fuzz import FuzzResult
from loadtest.robustness.fuzz_cases import KINDS, make_case, valid_cases
from loadtest.robustness.mutations import MUTATIONS, corpus, mutated_image
from loadtest.robustness.raw_client import judge

PROBLEM = to_problem(NotAnImage("no")).model_dump_json().encode()


class _Wire(io.BytesIO):
    """Bytes as a socket gives them."""

    def makefile(self, *_: object) -> "io.BytesIO":
        return self


def answer(status: int, body: bytes, media_type: str = MEDIA_TYPE) -> tuple[HTTPResponse, bytes]:
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    response = HTTPResponse(_Wire(head.encode() + body))  # type: ignore[arg-type]  # reads from bytes
    response.begin()
    return response, response.read()


def test_an_answer_and_a_problem_are_no_faults() -> None:
    assert judge("raw", *answer(200, b"{}", "application/json")).fault == ""
    assert judge("raw", *answer(400, PROBLEM)).answer == "400 not-an-image"
    assert judge("raw", *answer(400, PROBLEM)).fault == ""


@pytest.mark.parametrize(
    "found",
    [
        answer(500, PROBLEM),
        answer(503, PROBLEM),
        answer(400, PROBLEM, "text/plain"),
        answer(400, b""),
    ],
)
def test_errors_of_the_server_and_errors_that_are_no_problems_are_faults(
    found: tuple[HTTPResponse, bytes],
) -> None:
    assert judge("raw", *found).fault


def test_memory_that_grew_by_more_than_a_tenth_is_a_failure() -> None:
    assert not list(FuzzResult(0, warm_bytes=100, last_bytes=109).failures())
    assert list(FuzzResult(0, warm_bytes=100, last_bytes=111).failures())
    [failure] = FuzzResult(7, faults={5: "no answer"}, warm_bytes=100, last_bytes=100).failures()
    assert "--seed 7 --only 5" in failure


def test_the_corpus_has_valid_images_of_every_format() -> None:
    formats = set()
    for image in corpus():
        with Image.open(io.BytesIO(image)) as opened:
            opened.load()
            formats.add(opened.format)
    assert formats == {"JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"}
    assert len(valid_cases()) == len(corpus())


def test_every_mutation_changes_bytes_and_cases_repeat() -> None:
    for mutate in MUTATIONS:
        data = bytearray(corpus()[0])
        for number in range(5):
            mutate(Random(number), data)
        assert bytes(data) != corpus()[0]
    assert mutated_image(Random(1)) == mutated_image(Random(1))
    assert make_case(3, 14) == make_case(3, 14)
    assert len({make_case(3, number).request for number in range(50)}) == 50
    assert {make_case(0, number).kind for number in range(300)} == KINDS.keys()
