"""What is said of an error."""

import pytest

from app.errors import first_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\n bad node\nin file x", "bad node", id="lines"),
        pytest.param(" \n", "ValueError", id="silent"),
        pytest.param("x" * 1000, "x" * 300, id="long"),
    ],
)
def test_of_an_error_its_first_line_is_told(text: str, expected: str) -> None:
    assert first_line(ValueError(text)) == expected
