"""Classification, as Triton's extension has it."""

import numpy as np

from app.oip.answer import classification


def test_a_classification_is_value_index_label_highest_first() -> None:
    values = np.array([0.1, 0.7, 0.2], np.float32)
    assert classification(values, ("cat", "dog", "owl"), 2) == [
        b"0.700000:1:dog",
        b"0.200000:2:owl",
    ]


def test_an_output_without_labels_has_value_and_index() -> None:
    assert classification(np.array([3.5, -1.0], np.float32), (), 2) == [
        b"3.500000:0",
        b"-1.000000:1",
    ]


def test_equal_values_come_by_index() -> None:
    assert classification(np.zeros(3, np.float32), (), 3) == [
        b"0.000000:0",
        b"0.000000:1",
        b"0.000000:2",
    ]
