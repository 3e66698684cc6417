"""Labels of photos in every supported form."""

from pathlib import Path

import pytest

from models.photos.labelled import LabelError, LabelIndex, read_labelled
from models.photos.views import photo_files
from models.zoo.imagenet import imagenet_labels

LABELS = imagenet_labels()


@pytest.mark.parametrize(
    "text", ["285", "n02124075", "Egyptian cat", "egyptian_cat", "EGYPTIAN-CAT", " egyptian  cat "]
)
def test_a_class_has_many_names(text: str) -> None:
    assert LabelIndex(LABELS).find(text) == 285


@pytest.mark.parametrize(
    ("text", "class_id"), [("notebook_computer", 681), ("crane bird", 134), ("tabby cat", 281)]
)
def test_synonyms_are_names_too(text: str, class_id: int) -> None:
    assert LabelIndex(LABELS).find(text) == class_id


def test_every_own_label_and_synset_means_its_class() -> None:
    labels = LabelIndex(LABELS)
    assert [labels.find(name) for name in LABELS] == list(range(1000))


@pytest.mark.parametrize("text", ["unicorn", "1000", "-1", "²", "n00000000", ""])
def test_an_unknown_label_is_rejected(text: str) -> None:
    with pytest.raises(LabelError, match="is not a class of the model"):
        LabelIndex(LABELS).find(text)


def test_a_name_of_two_classes_is_rejected_with_both() -> None:
    with pytest.raises(
        LabelError, match=r"'DOG' means several classes \(0, 2\); use the class index"
    ):
        LabelIndex(("dog", "cat", "Dog")).find("DOG")


@pytest.mark.parametrize("text", ["crane", "7", "Crane"])
def test_a_name_that_is_twice_in_the_list_is_rejected_with_both(text: str) -> None:
    """ImageNet's own list has a bird and a machine of that name."""
    with pytest.raises(LabelError, match=rf"'{text}' means several classes \(0, 2\); use"):
        LabelIndex((text.lower(), "ship", text.lower())).find(text)


def test_the_exact_label_of_a_class_means_it_whatever_else_is_nearly_called_so() -> None:
    labels = LabelIndex(LABELS)
    assert (labels.find("Cardigan"), labels.find("cardigan")) == (264, 474)


def test_labels_that_are_numbers_go_before_indices() -> None:
    labels = LabelIndex(("1", "2", "10"))
    assert [labels.find(text) for text in ("1", "2", "10", "0")] == [0, 1, 2, 0]


def test_names_of_other_classes_than_imagenets_are_the_models_own() -> None:
    assert LabelIndex(("ripe", "rotten")).find("rotten") == 1
    with pytest.raises(LabelError):
        LabelIndex(("ripe", "rotten")).find("n02124075")


def test_folders_and_files_are_named_by_class(tmp_path: Path) -> None:
    for name in ("285/b.jpg", "n02124075/deep/a.png", "tractor.jpg", "tractor_2.jpg", "866.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("notes.txt", "._tractor.jpg", "285/._b.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in photo_files(tmp_path / "285")] == ["b.jpg"]
    found = {
        str(one.path.relative_to(tmp_path)): one.class_id for one in read_labelled(tmp_path, LABELS)
    }
    assert found == {
        "285/b.jpg": 285, "n02124075/deep/a.png": 285, "tractor.jpg": 866, "tractor_2.jpg": 866,
        "866.png": 866,
    }  # fmt: skip


def test_a_csv_names_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    rows = tmp_path / "rows.csv"
    rows.write_text("label,file\nbeagle,a.jpg\n", "utf-8-sig")
    [one] = read_labelled(rows, LABELS)
    assert (one.path, one.class_id) == (tmp_path / "a.jpg", 162)
    rows.write_text("file,label\nb.jpg,beagle\n")
    with pytest.raises(ValueError, match=r"names missing files: .*b\.jpg"):
        read_labelled(rows, LABELS)
    rows.write_text("file,label\na.jpg,beagle\na.jpg,tractor\n")
    with pytest.raises(ValueError, match=r"files more than once: .*a\.jpg"):
        read_labelled(rows, LABELS)
    rows.write_text("file,label\n")
    with pytest.raises(ValueError, match=f"{rows} has no rows"):
        read_labelled(rows, LABELS)
    rows.write_text("path;class\n")
    with pytest.raises(ValueError, match="no columns file and label"):
        read_labelled(rows, LABELS)
    rows.write_bytes(b"\xff\xd8\xff\xe0 a photo and no folder of them")
    with pytest.raises(ValueError, match=f"{rows} is not a CSV file in UTF-8"):
        read_labelled(rows, LABELS)


def test_all_unknown_labels_are_listed_at_once(tmp_path: Path) -> None:
    for name in ("unicorn", "dragon", "beagle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    with pytest.raises(LabelError, match=r"'dragon' is not a class.*; 'unicorn' is not a class"):
        read_labelled(tmp_path, LABELS)


def test_what_holds_no_photo_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains no image"):
        read_labelled(tmp_path, LABELS)
    with pytest.raises(ValueError, match="neither a folder nor a CSV"):
        read_labelled(tmp_path / "gone", LABELS)
