"""The table of a lone image on one core and on all."""

import pytest

from loadtest.bench.lone_image import LoneImageResult, Pair, Side, Turns, render
from loadtest.host.machine import MachineMonitor


def row(connections: int, on: list[tuple[float, float]]) -> list[str]:
    """The cells for pairs whose first run took 10 ms and 8 ms of processor time."""
    pairs = [Pair(Side(10, 8), Side(p50_ms, cpu_ms)) for p50_ms, cpu_ms in on]
    turns = Turns("mobilenet_v2_1.0_224", connections, pairs)
    return last_row(LoneImageResult(MachineMonitor().conditions(), [turns], []))


def last_row(result: LoneImageResult) -> list[str]:
    last = render(result).splitlines()[-1]
    return [cell.strip() for cell in last.strip("|").split("|")]


@pytest.mark.parametrize(
    ("on", "met"),
    [
        ([(7.5, 10), (7.5, 10), (20, 16)], "yes"),  # the median of the pairs counts
        ([(7.6, 8)], "**no**"),
        ([(5, 10.1)], "**no**"),
    ],
)
def test_one_connection_has_a_target_for_time_and_processor_time(
    on: list[tuple[float, float]], met: str
) -> None:
    cells = row(1, on)
    assert cells[5] == "0.75"
    assert cells[9:] == ["1.25", met]


@pytest.mark.parametrize(("cpu_ms", "met"), [(8.08, "yes"), (8.1, "**no**")])
def test_several_connections_may_not_cost_more(cpu_ms: float, met: str) -> None:
    cells = row(8, [(30, cpu_ms)])
    assert cells[4] == "3.000 (3.00 - 3.00)"
    assert cells[5] == "-"
    assert cells[9:] == ["1.01", met]


@pytest.mark.parametrize(("p50_ms", "met"), [(5, "yes"), (5.1, "**no**")])
def test_the_default_install_takes_half_of_plain_fastapi_at_most(p50_ms: float, met: str) -> None:
    pairs = [Pair(Side(10, 8), Side(p50_ms, 4))]
    cells = last_row(LoneImageResult(MachineMonitor().conditions(), [], pairs))
    assert cells[3:5] == [f"{p50_ms / 10:.3f} ({p50_ms / 10:.2f} - {p50_ms / 10:.2f})", "0.50"]
    assert cells[7:] == ["0.500 (0.50 - 0.50)", met]
