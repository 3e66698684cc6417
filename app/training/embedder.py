"""Embeddings of examples, by the workers that answer requests, in turn with these.

The first job of an image decodes it and makes its views; then each view has a job for each form of
the base. So no request waits for more than one run of a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, ModelCard, Preprocessing
from app.errors import BadQuery, StoreUnusable
from app.images.decode import load_image
from app.images.limits import BeyondBounds
from app.inference.classify import Classifier
from app.inference.helper_decode import deferred
from app.inference.helper_queue import Deferred
from app.inference.scheduler import Job, Scheduler
from app.model.files import FileStamp
from app.model.head_model import BaseFiles, HeadModel
from app.model.model import Model
from app.model.store import Store
from app.system.memory import return_free_memory
from app.teaching.embedded_photos import views_by
from app.teaching.near_duplicates import unit
from app.teaching.views import photo_views

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the base, the hash of its file, and whether there is another form."""

    model: Model
    sha256: str
    alone: bool = True

    @property
    def width(self) -> int:
        return self.model.outputs[EMBEDDING]

    def views(self, views: int) -> int:
        """How many of the views of an image this form embeds."""
        return views_by(self.model.card.precision, 1 if self.alone else 2, views)


class BaseForms:
    """Finds the forms of a base in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files = BaseFiles()

    def check(self, name: str | None) -> Model:
        """The model that a head can be taught on: the named one or the default.

        Raises:
            UnknownModel: no loaded model has the name.
            BadQuery: it is a head itself, or gives no embeddings.
        """
        model = self._store.get(name)
        if isinstance(model, HeadModel):
            raise BadQuery(f"base: {model.name} is a taught head; its base is {model.base.name}.")
        if EMBEDDING not in model.outputs:
            raise BadQuery(f"base: {model.name} gives no embeddings, so nothing can be taught.")
        return model

    def of(self, name: str, *, both: bool) -> list[Form]:
        """The named base, and with `both` the float form that it was quantised from.

        Reads files of megabytes, once.

        Raises:
            UnknownModel: the base is not loaded.
            BadQuery: it cannot be a base.
            StoreUnusable: its file has changed and was not reloaded.
        """
        model = self.check(name)
        forms = [self._form(model)]
        source = model.card.quantization.source if model.card.quantization else None
        if both and model.card.precision == "int8":
            forms += [self._form(one) for one in self._store if one.name == source]
        return [replace(form, alone=len(forms) == 1) for form in forms]

    def _form(self, model: Model) -> Form:
        loaded = self._store.loaded(model.name)
        try:
            sha256 = self._files.sha256(loaded.path)
            unchanged = FileStamp.of(loaded.path) == loaded.stamp
        except OSError:
            unchanged = False
        if not unchanged:
            raise StoreUnusable(f"The file of {model.name} has changed. Reload the models.")
        return Form(model, sha256)


class Embedder:
    """Embeds images on the workers."""

    def __init__(self, classifier: Classifier, scheduler: Scheduler) -> None:
        self._classifier, self._scheduler = classifier, scheduler
        self._opened: set[Model] = set()  # models that no request had used

    async def embed(
        self, image: bytes, forms: Sequence[Form], views: int
    ) -> dict[str, Float32Array]:
        """Unit embeddings [views, width] of an image by each form, by the hash of its file.

        INT8 embeds only the first view if there is a float form as well.

        Raises:
            ImageError: the image cannot be decoded.
            Overloaded: the queue has no place.
            StoreUnusable: a form that is not loaded yet cannot be.
        """
        self._opened |= {form.model for form in forms if form.model.state != "loaded"}
        card = forms[0].model.card
        decode = partial(decode_views, self._classifier, image, card, views)
        [found] = await self._outcomes([decode])
        runs = [
            partial(
                self._classifier.run,
                pixels,
                model=form.model,
                resolution=card.resolution,
                outputs=(EMBEDDING,),
            )
            for form in forms
            for pixels in found[: form.views(views)]
        ]
        rows = [run.outputs[0] for run in await self._outcomes(runs)]
        rest = iter(rows)
        return {form.sha256: unit(np.stack([*islice(rest, form.views(views))])) for form in forms}

    def unload_opened(self, store: Store) -> None:
        """Return the memory of models that were loaded for examples only, on any thread.

        Those stay that heads are served on.
        """
        bases = {model.base for model in store if isinstance(model, HeadModel)}
        while self._opened:
            model = self._opened.pop()
            if model not in bases:
                model.unload()
        return_free_memory()

    async def _outcomes(self, jobs: Sequence[Job[Result]]) -> list[Result]:
        results = []
        for outcome in await self._scheduler.submit(jobs):
            if isinstance(outcome, Exception):
                raise outcome
            results.append(outcome)
        return results


def decode_views(
    classifier: Classifier,
    image: bytes,
    card: ModelCard,
    views: int,
    _queue_ms: float,
    prepared: list[Uint8Array] | None = None,
) -> list[Uint8Array]:
    """Views [side, side, 3] of an image as it is taught.

    Raises:
        ImageError: the image cannot be decoded.
        Deferred: the helper process has to decode it.
    """
    if prepared is not None:
        return prepared

    def decode(data: bytes, side: int, rule: Preprocessing) -> Uint8Array:
        return load_image(
            data,
            side,
            rule,
            classifier.limits,
            reduced_decode=classifier.reduced_decode,
            memory=classifier.memory,
            bounded=classifier.helper is not None,
        )

    try:
        return list(islice(photo_views(image, card, decode, views), views))
    except BeyondBounds:
        raise Deferred(partial(_views_by_helper, classifier, image, card, views)) from None


def _views_by_helper(
    classifier: Classifier,
    image: bytes,
    card: ModelCard,
    views: int,
    abandoned: Callable[[], bool],
) -> list[Uint8Array]:
    def decode(data: bytes, side: int, rule: Preprocessing) -> Uint8Array:
        helper, reduced = classifier.helper, classifier.reduced_decode
        assert helper is not None  # noqa: S101  nothing is deferred without
        job = deferred(helper, data, side, rule, reduced_decode=reduced)
        pixels: Uint8Array = job.prepare(abandoned).pixels
        return pixels

    return list(islice(photo_views(image, card, decode, views), views))
