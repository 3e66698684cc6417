"""A count may grow by 3 %, and what is published is what was recorded."""

from pathlib import Path

import pytest

from loadtest.arm.report import render
from loadtest.arm.result import ArmResult, Comparison, compare, read_baseline, write_baseline
from loadtest.report import DOCS


def counted(inference: int, *, decode: int = 1000, photo: str = "a") -> ArmResult:
    counts = {"decode": decode, "model": inference}
    return ArmResult("2026-11-30", {"qemu": "7.2"}, photo, {"cortex-a72": counts})


@pytest.mark.parametrize(("count", "fails"), [(103_000_000, False), (103_000_001, True)])
def test_a_count_that_grows_by_more_than_3_percent_fails(count: int, fails: bool) -> None:
    grown = compare(counted(count), counted(100_000_000)).grown
    assert bool(grown) is fails


def test_what_grew_is_named_with_both_counts() -> None:
    [line] = compare(counted(112_345_678), counted(100_000_000)).grown
    assert line == (
        "model on cortex-a72: 112.35 M instructions, 12.3 % more than the recorded 100.00 M"
    )


def test_fewer_instructions_pass() -> None:
    assert compare(counted(1), counted(2)) == Comparison([], [], [])


def test_another_photo_says_nothing_about_decoding() -> None:
    found = compare(counted(1, decode=9999, photo="b"), counted(1))
    assert found == Comparison([], [], ["decode on cortex-a72"])


def test_a_model_that_was_never_recorded_has_to_be() -> None:
    recorded = counted(1)
    del recorded.instructions["cortex-a72"]["model"]
    assert compare(counted(1), recorded).new == ["model on cortex-a72"]
    assert compare(recorded, counted(1)).not_counted == ["model on cortex-a72"]


def test_a_recorded_result_is_read_back(tmp_path: Path) -> None:
    write_baseline(counted(7), tmp_path / "baseline.json")
    assert read_baseline(tmp_path / "baseline.json") == counted(7)


def test_the_page_shows_what_is_recorded() -> None:
    page = DOCS.read_text("utf-8")
    assert f"<!-- arm -->\n\n{render(read_baseline())}\n\n<!-- /arm -->" in page
