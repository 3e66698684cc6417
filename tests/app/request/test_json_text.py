"""JSON is counted before it is parsed, in one place."""

import pytest
from pydantic import BaseModel

from app.errors import BadRequest
from app.request.json_text import SHORT, JsonLimits, excess, read_model, read_short

LIMITS = JsonLimits(commas=2, lists=3, objects=2, colons=1)


class Point(BaseModel, extra="forbid"):
    x: int


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"[1, 2, 3]", None),
        (b"[1, 2, 3, 4]", "more than 2 commas"),
        (b"[[[]]]", None),
        (b"[{}, [[]]]", None),
        (b"[[[[]]]]", "more than 3 lists"),
        (b"[{}, {}, {}]", "more than 2 objects"),
        (b'{"a": 1}', None),
        (b'{"a": {"b": 1}}', "more than 1 keys"),
        (b'{"a": "data:image/png;base64"}', None),
    ],
)
def test_structure_beyond_the_limits_is_named(text: bytes, found: str | None) -> None:
    assert excess(text, LIMITS) == found


def test_only_the_part_that_is_json_counts() -> None:
    assert excess(b"[1]" + b"," * 100, LIMITS, end=3) is None


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
