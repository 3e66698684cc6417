"""Files of class names as people have them."""

from pathlib import Path

import pytest

from models.importing.checks import Refused
from models.importing.labels import read_labels

NAMES = ("cat", "dog", "bird")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.txt", "cat\ndog\nbird\n\n\n"),
        ("teachable.txt", "0 cat\n2 bird\n1 dog\n"),
        ("colons.txt", "0: cat\n1: dog\n2: bird"),
        ("commas.txt", "0,cat\r\n1,dog\r\n2,bird\r\n"),
        ("class_indices.json", '{"cat": 0, "bird": 2, "dog": 1}'),
        ("by_number.json", '{"0": "cat", "2": "bird", "1": "dog"}'),
        ("list.json", '["cat", "dog", "bird"]'),
        ("numbers.csv", "0,cat\n2,bird\n1,dog\n"),
        ("headed.csv", "name,index\ncat,0\nbird,2\ndog,1\n"),
        ("names.csv", "cat\ndog\nbird\n"),
    ],
)
def test_names_come_in_the_order_of_the_classes(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_labels(path) == NAMES


@pytest.mark.parametrize(
    "lines", [["0 cat", "dog", "2 bird"], ["3 cats", "5 dogs"], ["1 cat", "2 dog"]]
)
def test_numbers_that_do_not_count_belong_to_the_names(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(lines))
    assert read_labels(path) == tuple(lines)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("gap.json", '{"cat": 0, "dog": 2}', "its numbers are not those from 0 to 1"),
        ("twice.json", '{"cat": 0, "dog": 0}', "its numbers are not those from 0 to 1"),
        ("yes.json", '{"cat": true, "dog": false}', "the keys are not the numbers from 0"),
        ("other.csv", "a,b\nc,d\n", "no column has the numbers"),
        ("hole.txt", "cat\n\ndog\n", r"line 2 of .*hole\.txt is empty"),
    ],
)
def test_what_is_no_list_of_names_is_rejected(
    name: str, text: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Refused, match=reason):
        read_labels(path)
