"""How what was found is told."""

import pytest

from models.importing.report import labels_text


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (("cat", "dog"), "2: cat ... dog"),
        (("cat", "Cat"), "2: cat ... Cat"),
        (("cat", "b", "cat"), "3: cat ... cat\n'cat' is the name of classes 0, 2"),
        (
            tuple("abcde") * 2,
            "10: a ... e\n'a' is the name of classes 0, 5\n'b' is the name of classes 1, 6\n"
            "'c' is the name of classes 2, 7\nand 2 more names",
        ),
    ],
)
def test_names_of_several_classes_are_reported_with_the_ends_of_the_list(
    labels: tuple[str, ...], text: str
) -> None:
    assert labels_text(labels) == text
