"""Budgets: how they are written, and what is said of one that nothing keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auto.limits import STATIC, explain, figure, meets
from app.budget import LIMITS, Budget, parse_budget
from tests.app.variants import variant

CHEAP = variant("cheap", 40, madds=10, params=5, memory_bytes=1_000_000, resolution=96)
GOOD = variant("good", 70, madds=300, params=50, memory_bytes=20_000_000)
ALL = [GOOD, CHEAP]


def test_a_budget_is_written_as_names_and_values() -> None:
    assert parse_budget(" max_latency_ms=30 , min_top1=60.5,") == Budget(
        max_latency_ms=30, min_top1=60.5
    )
    assert parse_budget("").limits() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency=3", "max_latency_ms=..."),
        ("min_top1", "unknown limit 'min_top1'"),
        ("min_top1=101", "min_top1: Input should be less than or equal to 100"),
        ("max_madds=2.5", "max_madds: Input should be a valid integer"),
        ("max_params=1,max_params=2", "max_params is given twice"),
        ("max_memory_mb=inf", "max_memory_mb: Input should be a finite number"),
    ],
)
def test_what_is_no_budget_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        parse_budget(text)


def test_a_request_replaces_single_limits_of_the_default() -> None:
    default = Budget(max_latency_ms=30, min_top1=60)
    assert Budget(min_top1=40).or_else(default) == Budget(max_latency_ms=30, min_top1=40)
    assert Budget().or_else(Budget()) == Budget()


@given(st.sampled_from(STATIC))
def test_a_variant_keeps_exactly_its_own_figures(name: str) -> None:
    own = figure(name, GOOD)
    worse = own + 1 if name.startswith("min") else own - 1
    assert meets(name, own, GOOD)
    assert not meets(name, worse, GOOD)
    assert name in LIMITS


def test_an_unknown_accuracy_keeps_no_least_accuracy() -> None:
    assert not meets("min_top1", 1, variant("unknown", None))


def test_of_one_limit_the_least_possible_is_told() -> None:
    said = explain(ALL, {"max_madds": 5}, None)
    assert said == "No loaded variant meets max_madds=5. Possible: max_madds=10 (cheap@96)."


def test_of_two_limits_each_is_told_as_far_as_the_other_stands() -> None:
    said = explain(ALL, {"max_memory_mb": 2, "min_top1": 60}, None)
    assert "max_memory_mb=20 (good@224)" in said
    assert "min_top1=40 (cheap@96)" in said


def test_where_none_can_stand_each_is_told_alone() -> None:
    said = explain(ALL, {"max_madds": 1, "max_params": 1}, None)
    assert said.endswith("The best for each limit alone: max_madds=10, max_params=5.")


def test_a_resolution_that_nothing_has_is_told_with_those_that_are() -> None:
    assert explain(ALL, {}, 128).endswith("resolution=128. Available resolutions: 96, 224.")


def test_without_any_known_accuracy_a_model_has_to_be_named() -> None:
    text = explain([], {}, None)
    assert "with the classes of the default model" in text  # others may have a known accuracy
    assert "Name a model" in text
