"""Which variants nothing beats."""

from hypothesis import given
from hypothesis import strategies as st

from app.auto.pareto import frontier
from app.card.variant import Variant
from tests.app.variants import variant

FIGURES = st.tuples(
    st.one_of(st.none(), st.integers(40, 44)),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
)


def no_worse(one: Variant, other: Variant, times: dict[tuple[str, int], float]) -> bool:
    def percent(of: Variant) -> float:
        return of.top1.percent if of.top1 else -1

    return (
        percent(one) >= percent(other)
        and one.madds <= other.madds
        and one.params <= other.params
        and one.memory_bytes <= other.memory_bytes
        and times[one.key] <= times[other.key]
    )


@given(st.lists(FIGURES, max_size=12), st.lists(st.integers(1, 3), min_size=12, max_size=12))
def test_each_variant_is_on_the_frontier_or_beaten_by_one_that_is_nowhere_worse(
    figures: list[tuple[int | None, int, int, int]], milliseconds: list[int]
) -> None:
    variants = [
        variant(f"m{at}", top1, madds, params=params, memory_bytes=memory)
        for at, (top1, madds, params, memory) in enumerate(figures)
    ]
    times = {each.key: float(ms) for each, ms in zip(variants, milliseconds, strict=False)}
    standings = frontier(variants, times)
    assert {standing.variant.name for standing in standings} == {each.name for each in variants}
    for standing in standings:
        mine = standing.variant
        better = [
            other
            for other in variants
            if no_worse(other, mine, times) and not no_worse(mine, other, times)
        ]
        assert standing.on_frontier == (not better)
        if standing.beaten_by:
            assert standing.beaten_by in better


def test_the_most_accurate_comes_first() -> None:
    variants = [variant("a", 41, 1), variant("b", 43, 3), variant("c", 42, 2)]
    assert [each.variant.model for each in frontier(variants, {})] == ["b", "c", "a"]


def test_what_was_never_timed_beats_nothing_by_its_time() -> None:
    timed, untimed = variant("timed", 50, 100), variant("untimed", 50, 100)
    standings = {each.variant.model: each for each in frontier([timed, untimed], {timed.key: 5.0})}
    assert standings["timed"].on_frontier
    assert standings["untimed"].beaten_by == timed
