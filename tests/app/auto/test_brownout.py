"""Steps down under pressure and back up when the load has fallen."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.auto.brownout import HOLD_S, INTERVAL_S, Brownout, Load

STEPS_MS = (10.0, 5.0, 2.0, 1.0)


class Machine:
    """One worker, a clock, and requests that come at a rate."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.arrived = 0.0
        self.steps: list[tuple[int, int]] = []
        self.brownout = Brownout(lambda: self.now_s, lambda old, new: self.steps.append((old, new)))

    def run(self, seconds: float, rate: float, pressure: float) -> int:
        for _ in range(round(seconds / INTERVAL_S)):
            self.now_s += INTERVAL_S
            self.arrived += rate * INTERVAL_S
            self.brownout.update(Load(int(self.arrived), pressure, 1, STEPS_MS))
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
