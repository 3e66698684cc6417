"""Steps down under pressure and back up when the load has fallen."""

import asyncio
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auto.brownout import HOLD_S, INTERVAL_S, Brownout, Load
from app.auto.choice import PredictQuery
from app.model.store import Store
from tests.app.auto.chosen import ONE, V1, V2, Chosen, choosing, explicit
from tests.app.inference.test_scheduler import blocked
from tests.processes import metric_of

STEPS_MS = (10.0, 5.0, 2.0, 1.0)


class Machine:
    """Workers, a clock, and requests that come at a rate."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.now_s = 0.0
        self.arrived = 0.0
        self.steps: list[tuple[int, int]] = []
        self.brownout = Brownout(lambda: self.now_s, lambda old, new: self.steps.append((old, new)))

    def run(self, seconds: float, rate: float, pressure: float) -> int:
        for _ in range(round(seconds / INTERVAL_S)):
            self.now_s += INTERVAL_S
            self.arrived += rate * INTERVAL_S
            self.brownout.update(Load(round(self.arrived), pressure, self.workers, STEPS_MS))
        return self.brownout.step


def test_without_pressure_nothing_happens() -> None:
    machine = Machine()
    assert machine.run(60, rate=50, pressure=0.1) == 0
    assert machine.steps == []


def test_it_goes_down_at_once_as_far_as_the_arrivals_demand_and_no_further() -> None:
    machine = Machine()
    machine.run(3, rate=90, pressure=0.0)
    # 250/s take half a worker at 2 ms, and 125 % of one at 5 ms.
    assert machine.run(0.1, rate=250, pressure=0.6) == 2
    assert machine.run(0.3, rate=250, pressure=0.6) == 2
    assert machine.run(2, rate=250, pressure=0.1) == 2


def test_what_waited_before_a_step_has_time_to_go() -> None:
    machine = Machine()
    machine.run(3, rate=150, pressure=0.0)
    assert machine.run(0.1, rate=150, pressure=0.6) == 1
    assert machine.run(0.3, rate=150, pressure=0.6) == 1
    assert machine.run(1, rate=150, pressure=0.6) > 1  # it did not go: the step was not enough


def test_more_than_any_step_carries_ends_at_the_last() -> None:
    machine = Machine()
    assert machine.run(5, rate=10_000, pressure=1.0) == len(STEPS_MS) - 1


def test_it_comes_back_one_step_at_a_time_when_the_better_one_would_be_light() -> None:
    machine = Machine()
    machine.run(3, rate=300, pressure=0.6)
    low = machine.brownout.step
    assert machine.run(HOLD_S - 1, rate=20, pressure=0.0) == low
    machine.run(60, rate=20, pressure=0.0)
    assert machine.brownout.step == 0
    ups = [(old, new) for old, new in machine.steps if new < old]
    assert ups == [(at, at - 1) for at in range(low, 0, -1)]


def test_at_a_rate_that_the_better_step_cannot_carry_it_stays_down() -> None:
    machine = Machine()
    machine.run(3, rate=300, pressure=0.6)
    assert machine.run(120, rate=300, pressure=0.05) == 2


def test_a_step_up_that_proves_wrong_is_tried_again_later_each_time() -> None:
    machine = Machine()
    machine.run(3, rate=300, pressure=0.6)
    rises: list[float] = []
    for _ in range(1500):
        before = machine.brownout.step
        machine.run(INTERVAL_S, rate=60, pressure=0.9 if before == 0 else 0.0)
        if before == 1 and machine.brownout.step == 0:
            rises.append(machine.now_s)
    gaps = [later - earlier for earlier, later in pairwise(rises)]
    assert len(gaps) >= 2
    assert gaps == sorted(gaps)
    assert gaps[-1] > 1.5 * gaps[0]


def descended() -> Machine:
    """At step 2, where 2 ms carry what 5 ms cannot."""
    machine = Machine()
    machine.run(3, rate=400, pressure=0.0)
    assert machine.run(0.1, rate=400, pressure=0.6) == 2
    return machine


# 5 ms an image on one worker: a hundred a second make it half busy.
@pytest.mark.parametrize(("rate", "step"), [(130, 1), (136, 1), (144, 2), (170, 2)])
def test_it_comes_back_to_a_step_that_would_be_busy_for_less_than_seven_tenths(
    rate: float, step: int
) -> None:
    assert descended().run(40, rate, pressure=0.0) == step


# 2 ms an image: 400 a second make it busy for eight tenths.
@pytest.mark.parametrize(("rate", "step"), [(400, 2), (420, 2), (430, 3), (460, 3)])
def test_it_goes_down_to_a_step_that_would_be_busy_for_less_than_85_of_100(
    rate: float, step: int
) -> None:
    machine = Machine()
    machine.run(3, rate, pressure=0.0)
    assert machine.run(0.1, rate, pressure=0.6) == step


@pytest.mark.parametrize(("pressure", "goes_down"), [(0.24, False), (0.26, True)])
def test_a_quarter_of_the_deadline_or_the_queue_is_too_much(
    pressure: float, goes_down: bool
) -> None:
    machine = Machine()
    assert bool(machine.run(1, rate=90, pressure=pressure)) is goes_down


def test_it_comes_back_after_three_seconds_of_light_load_and_not_before() -> None:
    machine = descended()
    began_s, rises_s = machine.now_s, []
    while machine.brownout.step:
        before = machine.brownout.step
        if machine.run(INTERVAL_S, rate=10, pressure=0.0) < before:
            rises_s.append(machine.now_s - began_s)
    # 400 a second are smoothed to below 140 in three intervals.
    assert rises_s == pytest.approx([3.4, 6.5], abs=0.25)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_worker_carries_as_much(workers: int) -> None:
    machine = Machine(workers)
    machine.run(3, rate=190 * workers, pressure=0.0)
    assert machine.run(0.1, rate=190 * workers, pressure=0.6) == 2  # 95 of 100 at 5 ms


def test_the_rate_of_arrivals_follows_by_four_tenths_each_interval() -> None:
    machine = Machine()
    machine.run(INTERVAL_S, rate=0, pressure=0.0)
    rates = []
    for _ in range(3):
        machine.run(INTERVAL_S, rate=1000, pressure=0.0)
        rates.append(machine.brownout.arrivals_per_s)
    assert rates == pytest.approx([400, 640, 784])


@pytest.mark.parametrize("pause_s", [0.5, 2.0, 60.0])
def test_after_a_pause_little_is_left_of_the_rate_before(pause_s: float) -> None:
    """As if each interval of the pause had been looked at."""
    paused, watched = Machine(), Machine()
    for machine in (paused, watched):
        machine.run(10, rate=1000, pressure=0.0)
    watched.run(pause_s, rate=0, pressure=0.0)
    paused.now_s += pause_s - INTERVAL_S
    paused.run(INTERVAL_S, rate=0, pressure=0.0)
    assert paused.brownout.arrivals_per_s == pytest.approx(1000 * 0.6 ** (pause_s / 0.1), abs=1e-6)
    assert paused.brownout.arrivals_per_s == pytest.approx(watched.brownout.arrivals_per_s)


def test_the_first_request_after_a_pause_finds_the_best_step_light_again() -> None:
    machine = descended()
    machine.now_s += 600
    assert machine.run(0.1, rate=10, pressure=0.0) == 2
    assert machine.run(3.1, rate=10, pressure=0.0) == 1


def return_s(machine: Machine) -> float:
    """The seconds of light load until the best step answers again."""
    began_s = machine.now_s
    while machine.run(INTERVAL_S, rate=10, pressure=0.0):
        pass
    return machine.now_s - began_s


def test_holds_double_up_to_a_minute_and_start_over_after_a_step_that_held() -> None:
    machine = descended()
    return_s(machine)
    waits_s = []
    for _ in range(8):  # the best step proves wrong at once
        assert machine.run(INTERVAL_S, rate=90, pressure=0.9) == 1
        waits_s.append(return_s(machine))
    assert waits_s == pytest.approx([6, 12, 24, 48, 60, 60, 60, 60], abs=0.5)
    machine.run(11, rate=10, pressure=0.0)  # the step up was right
    assert machine.run(INTERVAL_S, rate=90, pressure=0.9) == 1
    assert return_s(machine) == pytest.approx(3, abs=0.5)


@given(st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 2)), max_size=60))
def test_whatever_the_load_the_step_is_one_that_exists_and_each_change_is_told(
    loads: list[tuple[int, float]],
) -> None:
    machine = Machine()
    step = 0
    for rate, pressure in loads:
        machine.run(0.3, rate, pressure)
    for old, new in machine.steps:
        assert old == step
        assert 0 <= new < len(STEPS_MS)
        step = new
    assert machine.brownout.step == step


@pytest.mark.parametrize(
    ("waiting", "deadline_ms", "steps_down"),
    [
        pytest.param(2, 100, True, id="3 x 10 ms of 100"),
        pytest.param(2, 140, False, id="3 x 10 ms of 140"),
        pytest.param(17, inf, True, id="17 of 64"),
        pytest.param(15, inf, False, id="15 of 64"),
    ],
)
def test_the_wait_and_the_queue_each_make_a_brownout(
    models: Store, waiting: int, deadline_ms: float, steps_down: bool
) -> None:
    async def scenario(chosen: Chosen) -> None:
        blocker, ticket = await blocked(chosen.scheduler)
        others = [chosen.scheduler.submit([lambda _: None]) for _ in range(waiting)]
        chosen.ask()
        chosen.clock.now_s += 0.11
        note = chosen.chooser.choose(PredictQuery(), ONE, deadline_ms).note
        assert note is not None
        assert (note.brownout_step > 0) is steps_down
        blocker.let_go()
        await asyncio.gather(ticket, *others)

    with choosing(models) as chosen:
        asyncio.run(scenario(chosen))


@pytest.mark.parametrize("switched_on", [True, False])
def test_under_overload_answers_get_cheaper_and_come_back(models: Store, switched_on: bool) -> None:
    async def overload(chosen: Chosen) -> list[float]:
        times_ms = []
        for _ in range(20):
            blocker, ticket = await blocked(chosen.scheduler)
            waiting = [chosen.scheduler.submit([lambda _: None]) for _ in range(30)]
            chosen.clock.now_s += 0.1
            times_ms.append(chosen.time_ms(chosen.ask(deadline_ms=100)))
            blocker.let_go()
            await asyncio.gather(ticket, *waiting)
        return times_ms

    with choosing(models, brownout=switched_on) as chosen:
        calm = chosen.ask()
        times_ms = asyncio.run(overload(chosen))
        text = chosen.metrics.render().decode()
        if not switched_on:
            assert len(set(times_ms)) == 1
            assert metric_of(text, "gateway_brownout_step") == 0
            return
        assert times_ms[-1] < chosen.time_ms(calm)
        assert times_ms == sorted(times_ms, reverse=True)
        assert metric_of(text, "gateway_brownout_step") > 0
        assert metric_of(text, "gateway_brownout_steps_total", way="down") > 0
        named = explicit(models, PredictQuery(model=V2))
        assert named is not None
        assert named.key == (V2, 224)
        assert chosen.ask(min_top1=50.5) in ((V2, 224), (V1, 128))  # a floor is a floor
        for _ in range(600):
            chosen.clock.now_s += 0.1
            last = chosen.ask()
        assert last == calm
        assert metric_of(chosen.metrics.render().decode(), "gateway_brownout_step") == 0


def test_a_brownout_ends_although_nobody_asks(models: Store) -> None:
    async def overload(chosen: Chosen) -> None:
        blocker, ticket = await blocked(chosen.scheduler)
        waiting = [chosen.scheduler.submit([lambda _: None]) for _ in range(30)]
        for _ in range(3):
            chosen.clock.now_s += 0.1
            chosen.ask(deadline_ms=100)
        blocker.let_go()
        await asyncio.gather(ticket, *waiting)

    with choosing(models) as chosen:
        asyncio.run(overload(chosen))
        assert metric_of(chosen.metrics.render().decode(), "gateway_brownout_step") > 0
        for _ in range(60):
            chosen.clock.now_s += 2
            chosen.chooser.check_load(deadline_ms=100)
        assert metric_of(chosen.metrics.render().decode(), "gateway_brownout_step") == 0
