"""The choice of what classifies an image when a request asks for more than the classes."""

from pathlib import Path

import pytest

from app.errors import UnknownModel
from app.explain.classification import classification
from app.explain.linear_heads import LinearHeads
from app.explain.query import ExtraQuery
from app.images.limits import ImageLimits
from app.inference.classify import Classifier
from app.model.model import load_model
from app.model.reloadable_store import ReloadableStore
from app.model.store_folder import Selection
from tests.conftest import SMALL_V1, SMALL_V2


def test_a_model_that_is_unloaded_while_the_body_arrives_is_unknown(store: Path) -> None:
    """An explanation reads the file of the model, which the store does not name any more."""
    models = ReloadableStore(Selection(store), load_model)
    model = models.get(SMALL_V2)
    models.unload(SMALL_V2)
    with pytest.raises(UnknownModel, match=f"{SMALL_V2} was unloaded.* Loaded models: {SMALL_V1}"):
        classification(
            Classifier(ImageLimits()), models, LinearHeads(), model, ExtraQuery(explain="cam")
        )
