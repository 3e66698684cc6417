"""CPU time that a run did not get."""

import pytest

from loadtest.host.machine import CpuTimes, interference, parse_cpu_times


def test_cpu_time_of_unrelated_processes_is_busy_time_minus_own_time() -> None:
    before = CpuTimes(total_s=100, busy_s=50, stolen_s=0, own_s=10)
    after = CpuTimes(total_s=200, busy_s=130, stolen_s=5, own_s=80)
    found = interference(before, after)
    assert found.others_percent == pytest.approx(10)
    assert found.stolen_percent == pytest.approx(5)


def test_busy_time_leaves_out_idle_waiting_and_stolen_time() -> None:
    times = parse_cpu_times("cpu  100 200 300 4000 500 60 70 80 0 0\ncpu0 1 2\n", own_s=0)
    assert times.total_s / times.busy_s == pytest.approx(5310 / 730)
    assert times.stolen_s / times.busy_s == pytest.approx(80 / 730)
