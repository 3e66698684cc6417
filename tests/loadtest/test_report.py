"""Numbers, tables and their place in the page."""

from pathlib import Path

import pytest

from loadtest.host.machine import CpuTimes, disturbance, parse_cpu_times
from loadtest.host.processes import kilobytes
from loadtest.report import NoPlace, fill_block, number, publish, table


@pytest.mark.parametrize(
    ("value", "text"), [(0.4567, "0.46"), (9.994, "9.99"), (12.34, "12.3"), (165.06, "165")]
)
def test_a_number_keeps_about_three_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert table(("a", "b"), [("x", 1)]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_a_block_is_replaced_and_the_rest_of_the_page_kept() -> None:
    page = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
    filled = fill_block(page, "bench", "new \\1")
    assert filled == "before\n<!-- bench -->\nnew \\1\n<!-- /bench -->\nafter\n"
    assert fill_block(filled, "bench", "new \\1") == filled


def test_what_is_published_stands_apart_from_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\n<!-- /bench -->\n")
    publish("bench", "| a |", page)
    assert page.read_text() == "before\n<!-- bench -->\n\n| a |\n\n<!-- /bench -->\n"


def test_a_page_without_the_markers_is_an_error() -> None:
    with pytest.raises(NoPlace, match="peers"):
        fill_block("no markers", "peers", "text")


def test_processor_time_of_others_is_what_was_busy_and_not_ours() -> None:
    before = CpuTimes(total_s=100, busy_s=50, stolen_s=0, own_s=10)
    after = CpuTimes(total_s=200, busy_s=130, stolen_s=5, own_s=80)
    found = disturbance(before, after)
    assert found.others_percent == pytest.approx(10)
    assert found.stolen_percent == pytest.approx(5)


def test_busy_time_leaves_out_idle_waiting_and_stolen_time() -> None:
    times = parse_cpu_times("cpu  100 200 300 4000 500 60 70 80 0 0\ncpu0 1 2\n", own_s=0)
    assert times.total_s / times.busy_s == pytest.approx(5310 / 730)
    assert times.stolen_s / times.busy_s == pytest.approx(80 / 730)


def test_a_line_of_the_kernel_is_read_by_its_whole_name() -> None:
    text = "Rss:  20 kB\nPss_Anon:  5 kB\nPss:      12 kB\n"
    assert kilobytes(text, "Pss") == 12
    with pytest.raises(KeyError):
        kilobytes(text, "Swap")
