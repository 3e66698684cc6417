"""The names of the classes."""

from models.zoo.imagenet import imagenet_labels


def test_every_class_has_a_name_of_its_own() -> None:
    labels = imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert all(label == label.strip() and label for label in labels)


def test_classes_have_their_index() -> None:
    labels = imagenet_labels()
    assert labels[0] == "tench"
    assert labels[285] == "Egyptian cat"
    assert labels[934] == "hotdog"
    assert labels[999] == "toilet tissue"


def test_names_of_two_classes_become_distinct() -> None:
    labels = imagenet_labels()
    assert labels[134] != labels[517]  # the bird and the machine
    assert "crane" in labels[134]
    assert "crane" in labels[517]
