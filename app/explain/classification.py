"""What takes the place of `Classifier.classify` for requests that ask for more than the classes."""

from collections.abc import Callable

from app.errors import BadQuery, UnknownModel
from app.explain.linear_heads import LinearHeads
from app.explain.query import ExtraQuery
from app.inference import head_results
from app.inference.classify import Classifier
from app.inference.head_group import HeadGroup
from app.inference.results import ImageResult
from app.model.model import Model
from app.model.store import Store


def classification(
    classifier: Classifier, store: Store, heads: LinearHeads, model: Model, query: ExtraQuery
) -> Callable[..., ImageResult]:
    """How to classify each image of a request for embeddings, explanations or several heads.

    Raises:
        BadQuery: the model cannot give what is asked for, or parameters do not go together.
        UnknownModel: the model, whose file is read, is no longer loaded.
    """
    if query.explain is None:
        if query.class_id is not None or query.overlay:
            raise BadQuery("class_id, overlay: only with explain=cam.")
        return head_results.classification(classifier, model, query.embedding)
    if query.embedding or isinstance(model, HeadGroup):
        raise BadQuery("explain: for one model or head, and without embedding.")
    from app.explain.explained import explaining  # few requests ask why

    try:
        path = store.path(model.name)
    except KeyError:  # dropped while the body arrived
        names = ", ".join(one.name for one in store)
        raise UnknownModel(
            f"{model.name} was unloaded after the request began. Loaded models: {names}."
        ) from None
    return explaining(classifier, heads, model, path, query)
