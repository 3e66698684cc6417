from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.fidelity.inputs import PLACES, packaged_inputs, photo_inputs, square
from tests.models.fidelity.torch_record import recorded_answers


@settings(deadline=None)
@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from(sorted(PLACES)))
def test_a_crop_is_square_and_evenly_spaced(height: int, width: int, place: str) -> None:
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    cut = square(np.dstack([rows, columns, rows]), 8, place)
    assert cut.shape == (8, 8, 3)
    step = min(height, width) // 8
    assert (np.diff(cut[:, 0, 0].astype(int)) == step).all()
    assert (np.diff(cut[0, :, 1].astype(int)) == step).all()


def test_an_image_below_the_resolution_is_rejected() -> None:
    with pytest.raises(ValueError, match="9x7 pixels are too few for 8"):
        square(np.zeros((7, 9, 3), np.uint8), 8, "centre")


def test_torch_has_answered_to_twenty_inputs_that_every_machine_has() -> None:
    pairs = recorded_answers(packaged_inputs())
    assert len(pairs) == 20
    assert len({given_.sha256 for given_, _ in pairs}) == 20
    for given_, answer in pairs:
        assert given_.pixels.shape == (224, 224, 3)
        assert answer.probabilities.sum() + answer.rest == pytest.approx(1, abs=1e-6)


def test_torch_has_answered_to_all_photos(known_photos: Path) -> None:
    assert len(recorded_answers(photo_inputs(known_photos))) == 22


def test_an_input_that_was_not_recorded_tells_how_to_record_it() -> None:
    with pytest.raises(LookupError, match=r"tests/models/fidelity/record_torch\.py"):
        recorded_answers(packaged_inputs(192))
