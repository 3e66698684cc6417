"""Numbers, tables and the blocks of a page."""

from pathlib import Path

import pytest

from loadtest.report import MissingMarkers, fill_block, number, publish_block, table


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


def test_a_published_text_is_separated_from_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\n<!-- /bench -->\n")
    publish_block("bench", "| a |", page)
    assert page.read_text() == "before\n<!-- bench -->\n\n| a |\n\n<!-- /bench -->\n"


def test_a_page_without_the_markers_is_an_error() -> None:
    with pytest.raises(MissingMarkers, match="peers"):
        fill_block("no markers", "peers", "text")
