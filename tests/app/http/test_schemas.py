"""What a card becomes in the list of models."""

import pytest
from pydantic import ValidationError

from app.http.schemas import summarize
from app.request.messages import Answer, PredictBody
from tests.exports import random_recipe


def test_a_model_without_published_accuracy_has_none() -> None:
    card = random_recipe("mobilenet_v1", 0.25, 128, "untrained").card("fp32")
    row = summarize(card, 123, ["cpu"], default=False)
    assert row.top1 is row.top5 is None
    assert row.file_bytes == 123


def test_both_accuracies_bring_their_source() -> None:
    card = random_recipe("mobilenet_v1", 0.25, 128).card("fp32")
    assert card.accuracy is not None
    whole = card.model_copy(update={"accuracy": card.accuracy.model_copy(update={"top5": 75.0})})
    row = summarize(whole, 1, ["cpu"], default=True)
    assert row.top1 is not None
    assert row.top5 is not None
    assert (row.top1.percent, row.top5.percent) == (50.5, 75.0)
    assert row.top1.source == row.top5.source == "a test"


def test_the_saving_is_that_of_the_paper_for_its_widest_network() -> None:
    """MobileNetV1, Table 4: 4866 M multiply-adds and 29.3 M parameters against 569 M and 4.2 M."""
    card = random_recipe("mobilenet_v1", 1.0, 224).card("fp32")
    saving = summarize(card, 1, ["cpu"], default=True).saving
    assert saving.madds_ratio == pytest.approx(4866 / 569, abs=0.01)
    assert saving.params_ratio == pytest.approx(29.3 / 4.2, abs=0.1)


def test_an_answer_cannot_be_changed() -> None:
    answer = Answer(model="a", resolution=96, results=[])
    with pytest.raises(ValidationError, match="frozen"):
        answer.model = "b"  # type: ignore[misc]  # frozen: that is the test


def test_a_request_without_images_is_not_one() -> None:
    with pytest.raises(ValidationError):
        PredictBody(images=[])
