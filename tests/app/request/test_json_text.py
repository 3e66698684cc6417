"""JSON is counted before it is parsed, in one place."""

from collections import deque

import pytest
from pydantic import BaseModel

from app.errors import BadRequest
from app.request.json_text import SHORT, JsonLimits, JsonStructure, read_model, read_short

LIMITS = JsonLimits(commas=2, lists=3, objects=2, quotes=2)
MANY = JsonLimits(commas=700_000, lists=3, objects=2, quotes=2_000_000)


class Point(BaseModel, extra="forbid"):
    x: int


@pytest.mark.parametrize(
    "text",
    [
        b"[1, 2, 3]",
        b"[[[]]]",
        b"[{}, [[]]]",
        b'{"a": 1}',
    ],
)
def test_structure_within_the_limits_passes(text: bytes) -> None:
    JsonStructure(LIMITS).add(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"[1, 2, 3, 4]", "more than 2 commas"),
        (b"[[[[]]]]", "more than 3 lists"),
        (b"[{}, {}, {}]", "more than 2 objects"),
        (b'{"a": "b"}', "more than 2 quotation marks"),
    ],
)
@pytest.mark.parametrize("part_bytes", [1, 7, 100])
def test_structure_beyond_the_limits_is_named(text: bytes, found: str, part_bytes: int) -> None:
    """However the text is cut as it arrives."""
    structure = JsonStructure(LIMITS)
    parts = [text[start : start + part_bytes] for start in range(0, len(text), part_bytes)]
    with pytest.raises(BadRequest, match=found):
        deque(map(structure.add, parts))


@pytest.mark.parametrize("value", [b"255, ", b"0,\n", b"    255,\n", b'"abcdef",'])
def test_many_short_values_pass(value: bytes) -> None:
    JsonStructure(MANY).add(value * 600_000)


@pytest.mark.parametrize(
    "value", [b"0.12345678901234567890,", rb'"\n\n\n\n\n\n",', b" " * 20 + b"1,"]
)
def test_many_long_values_are_no_pixels(value: bytes) -> None:
    with pytest.raises(BadRequest, match="more than 10 bytes for each of"):
        JsonStructure(MANY).add(value * 600_000)


def test_few_values_may_be_long() -> None:
    JsonStructure(MANY).add(b'"%s",' % (b"A" * 500_000) * 32)


def test_only_the_part_that_is_json_counts() -> None:
    structure = JsonStructure(LIMITS, end=3)
    structure.add(b"[1")
    structure.add(b"]" + b"," * 100)
    structure.add(b"," * 100)


def test_a_fault_says_where_it_is_in_few_characters() -> None:
    assert read_model(Point, b'{"x": 1}') == Point(x=1)
    with pytest.raises(BadRequest, match=r"^x: "):
        read_model(Point, b'{"x": "a"}')
    with pytest.raises(BadRequest) as fault:
        read_model(Point, b'{"x": 1, "%s": 2}' % (b"y" * 10_000))
    assert len(fault.value.detail) < 200


@pytest.mark.parametrize("text", [b"[" * 60_000, b'{"a":' * 60_000, b"[" * (SHORT.lists + 1)])
def test_nesting_is_an_error_of_the_client(text: bytes) -> None:
    with pytest.raises(BadRequest, match="more than 100"):
        read_short(text)


def test_a_short_text_is_an_object_or_none() -> None:
    assert read_short(b'{"ready": true}') == {"ready": True}
    assert read_short(b"[" * 100 + b"]" * 100) is None
    with pytest.raises(BadRequest, match="not JSON"):
        read_short(b"[" * 100)
