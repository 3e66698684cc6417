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


@pytest.mark.unmeasured
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


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("topk=3", "topk: unknown parameter, did you mean top_k?"),
        ("Resolution=96", "Resolution: unknown parameter, did you mean resolution?"),
        ("size=96", "size: unknown parameter"),
        (f"{'top_k' * 100}=1", f"{'top_k' * 100}: unknown parameter"),
    ],
)
def test_for_a_mistyped_parameter_the_nearest_is_suggested(query: str, said: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_query(PredictQuery, query.encode())
    assert caught.value.detail == said


def test_of_many_mistyped_parameters_only_the_first_three_cost_a_comparison() -> None:
    query = "&".join(f"top_k{number}=1" for number in range(5))
    with pytest.raises(BadQuery) as caught:
        parse_query(PredictQuery, query.encode())
    assert caught.value.detail.count("did you mean top_k?") == 3
    assert caught.value.detail.count("unknown parameter") == 5
