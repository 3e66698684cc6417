"""The classifier without a server, for programs: notebooks, batch jobs, Ray.

    from app.library import Classifier

    with Classifier("mobilenet_v2_1.0_224", store="models/store") as classifier:
        for path, found in zip(paths, classifier.classify(paths)):
            print(path, found.error or found.label)

Limits, decoding and answers are those of `/predict`; settings come from arguments and from the
environment, as for the service. Nothing of the web framework is imported.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, overload

import numpy as np
from PIL import Image

from app.arrays import Float32Array
from app.card.card import EMBEDDING, ModelCard
from app.errors import BadQuery, RequestError, SettingError
from app.inference.local_session import (
    ImageFailure,
    ImageSource,
    LocalSession,
    UnreadableImage,
)
from app.inference.results import ClassScore, ImageResult
from app.settings import Settings
from app.settings_sources import load_settings
from app.system.cores import usable_cores

AHEAD = 4  # images for each worker that wait or run while the caller has not taken their answers
# What a model and an image depend on. Keys and the like stay out of what is pickled.
SETTINGS = (
    "store", "heads", "models", "default_model", "allow_untrained", "providers", "workers",
    "reduced_decode", "max_body_bytes", "max_pixels", "max_decode_bytes", "min_side_pixels",
    "helper_memory_bytes", "helper_cpu_s", "memory_arena", "cache",
)  # fmt: skip

SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray)
FAILURES = (RequestError, UnreadableImage)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Classification:
    """The classes of one image in descending order of probability, or the `error` instead.

    `warnings` says what seems to be missing from a damaged file.
    """

    model: str
    resolution: int
    predictions: tuple[ClassScore, ...] = ()
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    warnings: tuple[str, ...] = ()
    error: ImageFailure | None = None

    @property
    def label(self) -> str:
        """The name of the most probable class.

        Raises:
            RequestError, UnreadableImage: the image could not be classified.
        """
        if self.error is not None:
            raise self.error
        return self.predictions[0].label


class Classifier:
    """Classifies images on all cores of this machine, for any number of threads.

    `model` is a name of the store or a taught head; None means the default model, whose form
    depends on the machine. `workers` is the number of threads. Other settings, such as
    `max_pixels`, have the names that the service knows.

    The model is opened by the first image, or by `open`. What is pickled are names and settings:
    the other process opens the model from its own store at the same path.

    Raises:
        SettingError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        resolution: int | None = None,
        workers: int | None = None,
        **settings: Any,
    ) -> None:
        if workers is not None:
            settings["workers"] = workers
        if store is not None:
            settings["store"] = Path(store)
        if unknown := sorted(settings.keys() - SETTINGS):
            raise SettingError(
                f"{', '.join(unknown)}: not a setting of a classifier. "
                f"It has: {', '.join(SETTINGS)}."
            )
        given = load_settings(settings)
        values = {name: getattr(given, name) for name in SETTINGS}
        for folder in ("store", "heads"):  # another process may run in another folder
            values[folder] = values[folder] and values[folder].absolute()
        self.__setstate__({"model": model, "resolution": resolution, "settings": values})

    def __getstate__(self) -> dict[str, Any]:
        return {
            "model": self._name,
            "resolution": self._resolution,
            "settings": {name: getattr(self._settings, name) for name in SETTINGS},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._name: str | None = state["model"]
        self._resolution: int | None = state["resolution"]
        # as they were, whatever the environment of this process says
        self._settings = Settings.model_construct(**state["settings"])
        self._session: LocalSession | None = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"Classifier({self._name!r}, store={str(self._settings.store)!r})"

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Load the model now.

        Raises:
            ModelFileError: it is not in the store or cannot be run; the text names the file.
            BadQuery: it does not support the resolution.
        """
        self.session  # noqa: B018  opens it
        return self

    def close(self) -> None:
        """End the processes that decode unusual formats; the next image opens it all again."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    @property
    def store(self) -> Path:
        """The folder of the models."""
        return self._settings.store

    @property
    def max_bytes(self) -> int:
        """The size of the largest file that is classified."""
        return self._settings.max_body_bytes

    @property
    def card(self) -> ModelCard:
        """The card of the model: labels, cost, accuracy."""
        return self.session.model.card

    @property
    def resolution(self) -> int:
        """The side of the model's input, in pixels."""
        return self.session.resolution

    @property
    def workers(self) -> int:
        """The number of images that are classified at once."""
        return self._settings.workers or usable_cores().count

    @overload
    def classify(
        self, images: "list[Any] | tuple[Any, ...]", *, top_k: int = 5
    ) -> list[Classification]: ...

    @overload
    def classify(  # type: ignore[overload-overlap]  # text and bytes are iterables, too
        self, images: ImageSource, *, top_k: int = 5
    ) -> Classification: ...

    @overload
    def classify(
        self, images: Iterable[ImageSource], *, top_k: int = 5
    ) -> Iterator[Classification]: ...

    def classify(self, images: Any, *, top_k: int = 5) -> Any:
        """Classify one image, a list of images, or any other iterable as a stream.

        An image is a path, the bytes of a file, a PIL image or a uint8 array. A list gives a list,
        a stream an iterator that reads ahead a few images a worker; both have one classification an
        image, in order, with the `error` of an image that cannot be classified.

        Raises:
            RequestError, UnreadableImage: the one image cannot be classified.
            ModelFileError, BadQuery: as `open`.
        """
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}. It must be at least 1.")
        session = self.session

        def run(data: bytes, **more: Any) -> Classification:
            found = session.classifier.classify(data, top_k=top_k, **more)
            return _classification(session, found)

        return self._answers(images, run, partial(_failed, session))

    @overload
    def embed(self, images: "list[Any] | tuple[Any, ...]") -> list[Float32Array | ImageFailure]: ...

    @overload
    def embed(  # type: ignore[overload-overlap]  # as above
        self, images: ImageSource
    ) -> Float32Array: ...

    @overload
    def embed(self, images: Iterable[ImageSource]) -> Iterator[Float32Array | ImageFailure]: ...

    def embed(self, images: Any) -> Any:
        """The pooled features of each image, float32, not scaled; images as for `classify`.

        In a list or a stream, the error of an image that cannot be embedded stands in its place.

        Raises:
            BadQuery: the model has no embedding.
        """
        session = self.session
        if EMBEDDING not in session.model.outputs:
            raise BadQuery(f"{session.model.name} was imported without an embedding.")

        def run(data: bytes, **more: Any) -> Float32Array:
            return session.classifier.run(data, outputs=(EMBEDDING,), **more).outputs[0]

        return self._answers(images, run, lambda error: error)

    def each(
        self, images: Iterable[ImageSource], run: Callable[..., T]
    ) -> Iterator[T | ImageFailure]:
        """What `run` returns for each image, in order; the error of an image in its place.

        `run` has the arguments of `LocalSession.outcome`.
        """
        session = self.session
        most = session.workers * AHEAD
        waiting: deque[Future[T | ImageFailure]] = deque()
        with ThreadPoolExecutor(session.workers, "classify") as pool:
            try:
                for image in images:
                    session.load_pixels(image)
                    waiting.append(pool.submit(session.outcome, image, run))
                    if len(waiting) >= most:
                        # This thread takes a core from the workers: it wakes for several answers.
                        waiting[most // 2].exception()
                    while waiting and (waiting[0].done() or len(waiting) >= most):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _answers(
        self, images: Any, run: Callable[..., T], failed: Callable[[ImageFailure], Any]
    ) -> Any:
        if isinstance(images, SINGLE):
            outcome = self.session.outcome(images, run)
            if isinstance(outcome, FAILURES):
                raise outcome
            return outcome
        if not isinstance(images, Iterable):
            raise TypeError(
                f"Unsupported image: {type(images).__name__}. "
                "Pass a path, bytes, a PIL image, a uint8 array, or a list or iterator of those."
            )
        answers = (
            failed(outcome) if isinstance(outcome, FAILURES) else outcome
            for outcome in self.each(images, run)
        )
        return list(answers) if isinstance(images, list | tuple) else answers

    @property
    def session(self) -> LocalSession:
        """What runs it in this process; a fork of another one opens its own."""
        with self._opening:
            if self._session is None or self._session.pid != os.getpid():
                self._session = LocalSession(
                    self._settings, self._name, self._resolution, self.workers
                )
            return self._session


def _classification(session: LocalSession, found: ImageResult) -> Classification:
    return Classification(
        session.model.name,
        session.resolution,
        tuple(found.predictions),
        found.decode_ms,
        found.inference_ms,
        tuple(found.warnings or ()),
    )


def _failed(session: LocalSession, error: ImageFailure) -> Classification:
    return Classification(session.model.name, session.resolution, error=error)
