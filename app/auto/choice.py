"""The query of a request, and the model and resolution that answer it."""

from dataclasses import dataclass

from pydantic import Field

from app.budget import LIMITS, Budget
from app.card.accuracy import Basis
from app.card.variant import Key
from app.errors import BadQuery
from app.explain.query import ExtraQuery
from app.inference.head_group import group_of
from app.model.model import Model
from app.model.store import Store
from app.model.store_folder import AUTO
from app.wire import Wire


class PredictQuery(ExtraQuery, Budget):
    """The query parameters of POST /predict."""

    model: str | None = Field(
        None,
        min_length=1,
        description="A name from /models, heads on one base (`a,b`), `auto`, or none: the default.",
    )
    top_k: int = Field(5, ge=1, le=100, description="Number of classes to return.")
    resolution: int | None = Field(
        None,
        description="Side of the model's square input in pixels; default: as trained.",
    )

    @property
    def has_budget(self) -> bool:
        """Whether the request sets a limit, which only `model=auto` supports."""
        return not self.model_fields_set.isdisjoint(LIMITS)


class ChoiceNote(Wire):
    """Why `model=auto` chose a variant, and the expected result."""

    reason: str
    top1: float = Field(description="Top-1 accuracy in percent.")
    top1_basis: Basis = Field(description="Measured, published, or interpolated from a table.")
    expected_ms: float = Field(description="Expected time of the request, including the queue.")
    brownout_step: int = Field(description="0, or how far overload has made the answer cheaper.")


@dataclass(frozen=True, slots=True)
class Choice:
    """The model and resolution that answer a request; `note` is set where `auto` chose them."""

    model: Model
    resolution: int
    note: ChoiceNote | None = None

    @property
    def key(self) -> Key:
        return self.model.name, self.resolution


@dataclass(frozen=True, slots=True)
class Demand:
    """The images of one request: their number, and the encoded size of the largest."""

    images: int
    image_bytes: int


def explicit_choice(query: PredictQuery, store: Store, *, auto_by_default: bool) -> Choice | None:
    """The model that the client named, or the default one; None if `auto` has to choose.

    Raises:
        BadQuery: the request names a model and sets a limit, or the model does not support the
            resolution.
        UnknownModel: no loaded model has that name.
    """
    if query.model == AUTO or (query.model is None and (auto_by_default or query.has_budget)):
        return None
    if query.has_budget:
        limits = ", ".join(query.limits())
        raise BadQuery(f"{limits}: only supported with model=auto, not with {query.model}.")
    name = query.model
    model = group_of(store, name) if name and "," in name else store.get(name)
    return Choice(model, model.check_resolution(query.resolution))
