"""Query strings: read exactly, and wrong ones named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auto.choice import PredictQuery
from app.errors import BadQuery
from app.request.query_string import NoQuery, parse_query


@pytest.mark.parametrize(
    ("text", "model", "top_k", "resolution"),
    [
        ("", None, 5, None),
        ("model=a&top_k=7&resolution=160", "a", 7, 160),
        ("top_k=100", None, 100, None),
        ("model=%C3%A9%20b", "é b", 5, None),
    ],
)
def test_a_query_is_read(text: str, model: str | None, top_k: int, resolution: int | None) -> None:
    found = parse_query(PredictQuery, text.encode())
    assert (found.model, found.top_k, found.resolution) == (model, top_k, resolution)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_query_brings_an_error_that_is_not_the_requests(text: str) -> None:
    for model in (PredictQuery, NoQuery):
        try:
            parse_query(model, text.encode())
        except BadQuery as error:
            assert error.detail  # noqa: PT017  # most inputs raise nothing


@settings(deadline=None)
@given(st.integers())
def test_top_k_is_taken_exactly_from_1_to_100(top_k: int) -> None:
    if 1 <= top_k <= 100:
        assert parse_query(PredictQuery, b"top_k=%d" % top_k).top_k == top_k
        return
    with pytest.raises(BadQuery, match=r"^top_k: input should be"):
        parse_query(PredictQuery, b"top_k=%d" % top_k)
