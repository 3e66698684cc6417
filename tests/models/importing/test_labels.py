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
        ("wordnet.json", '{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "bird"]}'),
        ("windows.txt", "\ufeffcat\r\ndog\r\nbird\r\n"),  # as its editor saves it
        ("windows.json", '\ufeff["cat", "dog", "bird"]'),
        ("numbers.csv", "0,cat\n2,bird\n1,dog\n"),
        ("headed.csv", "name,index\ncat,0\nbird,2\ndog,1\n"),
        ("names.csv", "cat\ndog\nbird\n"),
        ("headed_names.csv", "class_name\ncat\ndog\nbird\n,\n"),
        ("excel.csv", "index;name\r\n0;cat\r\n2;bird\r\n1;dog\r\n;\r\n"),
        ("tabs.tsv", "0\tcat\n1\tdog\n2\tbird\n"),
        ("tabs.txt", "0\tcat\n1\tdog\n2\tbird\n \n\n"),
        ("indices_as_texts.json", '{"cat": "0", "bird": "2", "dog": "1"}'),
        ("json_inside.txt", '{"cat": 0, "bird": 2, "dog": 1}\n'),
        ("metadata.json", '{"tfjsVersion": "1.3.1", "labels": ["cat", "dog", "bird"]}'),
        ("config.json", '{"id2label": {"0": "cat", "1": "dog", "2": "bird"}, "label2id": {}}'),
    ],
)
def test_names_come_in_the_order_of_the_classes(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8", newline="")
    assert read_labels(path) == NAMES


def test_names_in_utf16_are_read(tmp_path: Path) -> None:
    path = tmp_path / "notepad.txt"
    path.write_bytes("0 cat\r\n1 dog\r\n2 bird\r\n".encode("utf-16"))
    assert read_labels(path) == NAMES


def test_digits_as_names_stay_with_their_numbers(tmp_path: Path) -> None:
    """Keras sorts its folders as texts: the folder 10 comes before the folder 2."""
    path = tmp_path / "class_indices.json"
    path.write_text('{"0": 0, "10": 1, "2": 2}')
    assert read_labels(path) == ("0", "10", "2")
    path.write_text('{"0": "7", "1": "3"}')
    assert read_labels(path) == ("7", "3")


def test_a_list_without_end_is_rejected_unread(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    with path.open("wb") as file:
        file.truncate(10_000_001)
    with pytest.raises(Refused, match="larger than 10 MB"):
        read_labels(path)


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
        ("words.json", '{"cat": "zero"}', "the keys are not the numbers"),
        ("yes.json", '{"cat": true, "dog": false}', "the keys are not the numbers from 0"),
        ("other.csv", "a,b\nc,d\n", "no column has the numbers"),
        ("text.json", "cat", "is not a list of names"),
        ("number.json", "3", "neither a list nor an object"),
        ("numbers.json", "[1]", "a name is not a text"),
        ("hole.txt", "cat\n\ndog\n", r"hole\.txt: line 2 is empty"),
    ],
)
def test_what_is_no_list_of_names_is_rejected(
    name: str, text: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Refused, match=reason):
        read_labels(path)
