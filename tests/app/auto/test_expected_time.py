"""The time that `auto` expects of a variant: its parts, the queue, and what requests took."""

import asyncio
from math import inf
from typing import Any

import pytest

from app.auto.choice import Demand, PredictQuery
from app.inference.timings import Measured
from app.model.store import Store
from tests.app.auto.chosen import (
    DECODE_MS,
    HOLD_S,
    HTTP_MS,
    MAX_AGE_S,
    MIN_SAMPLES,
    ONE,
    SPREAD,
    TIMES_MS,
    V1,
    V2,
    Chosen,
    choosing,
    surely_ms,
)
from tests.app.inference.test_scheduler import blocked


def test_what_waits_already_counts_against_the_budget(models: Store) -> None:
    async def scenario(chosen: Chosen) -> None:
        limit_ms = surely_ms(20) + 1
        before = chosen.ask(max_latency_ms=limit_ms)
        blocker, ticket = await blocked(chosen.scheduler)
        waiting = [chosen.scheduler.submit([lambda _: None]) for _ in range(2)]
        wait_ms = 3 * chosen.scheduler.service_ms
        limit_ms = (6 + DECODE_MS + HTTP_MS + wait_ms) * SPREAD + 0.1
        after = chosen.ask(max_latency_ms=limit_ms)
        blocker.let_go()
        await asyncio.gather(ticket, *waiting)
        assert before in ((V2, 224), (V1, 128))
        assert after == (V2, 128)
        chosen.clock.now_s += HOLD_S
        assert chosen.ask(max_latency_ms=limit_ms) == before

    with choosing(models) as chosen:
        asyncio.run(scenario(chosen))


def test_a_budget_that_only_the_queue_breaks_is_answered_by_the_fastest(models: Store) -> None:
    async def scenario(chosen: Chosen) -> None:
        blocker, ticket = await blocked(chosen.scheduler)
        choice = chosen.chooser.choose(PredictQuery(max_latency_ms=surely_ms(3)), ONE, inf)
        blocker.let_go()
        await ticket
        assert choice.key == (V2, 96)
        assert choice.note is not None
        assert "the current load may exceed" in choice.note.reason

    with choosing(models) as chosen:
        asyncio.run(scenario(chosen))


def test_many_images_take_as_many_times_as_long_as_workers_need(models: Store) -> None:
    with choosing(models, workers=2) as chosen:
        limit_ms = surely_ms(20) + 0.1
        two = chosen.ask(Demand(2, ONE.image_bytes), max_latency_ms=limit_ms)
        assert two == chosen.ask(max_latency_ms=limit_ms)
        assert chosen.ask(Demand(8, ONE.image_bytes), max_latency_ms=limit_ms) == (V2, 96)


def test_a_variant_that_takes_longer_than_expected_is_left_until_that_is_old(models: Store) -> None:
    with choosing(models) as chosen:
        query = PredictQuery(max_latency_ms=surely_ms(15) + 0.1, resolution=192)
        wider = PredictQuery(max_latency_ms=surely_ms(15) + 0.1, max_params=1_700_000, min_top1=35)
        choice = chosen.chooser.choose(query, ONE, inf)
        assert choice.note is not None
        for _ in range(MIN_SAMPLES):
            chosen.chooser.learn(choice, 3 * choice.note.expected_ms)
        chosen.clock.now_s += HOLD_S
        assert chosen.chooser.choose(wider, ONE, inf).key != (V2, 192)
        with_old = chosen.chooser.choose(query, ONE, inf)
        assert with_old.note is not None
        assert "may exceed" in with_old.note.reason
        chosen.clock.now_s += MAX_AGE_S + 1
        again = chosen.chooser.choose(query, ONE, inf).note
        assert again is not None
        assert "meets" in again.reason


@pytest.mark.parametrize(("side", "slower"), [(224, 192), (192, 160), (160, 128), (128, 96)])
def test_a_limit_decides_by_the_expected_time_and_three_tenths_more(
    models: Store, side: int, slower: int
) -> None:
    wanted: dict[str, Any] = {"max_params": 1_700_000, "max_madds": 10**8}
    for limit_ms, expected in ((surely_ms(TIMES_MS[side]) - 0.01, slower),
                               (surely_ms(TIMES_MS[side]) + 0.01, side)):  # fmt: skip
        with choosing(models) as chosen:
            fast = next(each for each in chosen.chooser.variants if each.key == (V1, 128))
            chosen.timings.measure(fast, Measured(900.0, 900.0))  # which would tie with 224
            chosen.timings.measure(
                next(each for each in chosen.chooser.variants if each.key == (V1, 96)),
                Measured(900.0, 900.0),
            )
            assert chosen.ask(max_latency_ms=limit_ms, **wanted) == (V2, expected)


@pytest.mark.parametrize(
    ("workers", "images", "rounds"), [(1, 1, 1), (1, 3, 3), (2, 2, 1), (2, 3, 2), (4, 9, 3)]
)
def test_the_expected_time_is_told_with_all_its_parts(
    models: Store, workers: int, images: int, rounds: int
) -> None:
    with choosing(models, workers) as chosen:
        note = chosen.chooser.choose(
            PredictQuery(resolution=192), Demand(images, ONE.image_bytes), inf
        ).note
        assert note is not None
        assert note.expected_ms == pytest.approx(HTTP_MS + rounds * (15.0 + DECODE_MS))


@pytest.mark.parametrize(
    ("workers", "images", "queue_ms"), [(1, 1, 30), (1, 2, 30), (2, 1, 15), (2, 2, 20), (2, 9, 20)]
)
def test_the_expected_time_has_that_of_the_queue(
    models: Store, workers: int, images: int, queue_ms: float
) -> None:
    """All workers are busy and two images wait; each takes 10 ms of one of the workers."""

    async def scenario(chosen: Chosen) -> None:
        busy = [await blocked(chosen.scheduler) for _ in range(workers)]
        waiting = [chosen.scheduler.submit([lambda _: None]) for _ in range(2)]
        query, demand = PredictQuery(resolution=192), Demand(images, ONE.image_bytes)
        note = chosen.chooser.choose(query, demand, inf).note
        assert note is not None
        own_ms = HTTP_MS + -(-images // workers) * (15.0 + DECODE_MS)
        assert note.expected_ms == pytest.approx(own_ms + queue_ms)
        for blocker, _ in busy:
            blocker.let_go()
        await asyncio.gather(*(ticket for _, ticket in busy), *waiting)

    with choosing(models, workers) as chosen:
        asyncio.run(scenario(chosen))


@pytest.mark.parametrize(("late", "meets"), [(4, True), (6, False)])
def test_ninety_five_of_a_hundred_requests_have_to_be_in_time(
    models: Store, late: int, meets: bool
) -> None:
    with choosing(models) as chosen:
        query = PredictQuery(resolution=192, max_latency_ms=HTTP_MS + 15.0 + DECODE_MS + 0.1)
        choice = chosen.chooser.choose(PredictQuery(resolution=192), ONE, inf)
        assert choice.note is not None
        for number in range(100):
            ratio = 5.0 if number < late else 1.0
            chosen.chooser.learn(choice, ratio * choice.note.expected_ms)
        note = chosen.chooser.choose(query, ONE, inf).note
        assert note is not None
        assert ("may exceed" not in note.reason) is meets
