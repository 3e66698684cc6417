"""`classify --local`: this machine classifies, without a service."""

from array import array
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_gateway_client._errors import ClientError, Problem, UnreadableImage
from mobilenet_gateway_client._options import Options
from mobilenet_gateway_client._results import Classification, ClassScore

if TYPE_CHECKING:
    from mobilenet_gateway import Classifier

PACKAGE = "mobilenet_gateway"


class LocalImages:
    """What `classify_folder` asks of a client, answered by this process."""

    def __init__(self, classifier: "Classifier") -> None:
        self._classifier = classifier

    @property
    def address(self) -> str:
        """What stands for the address in the record of a run."""
        return f"local:{self._classifier.store}"

    @property
    def default_model(self) -> str:
        """The name of the model that answers."""
        return self._classifier.card.name

    def stop_retrying(self) -> None:
        """There is nothing to wait for."""

    def classify_each(
        self, images: Iterable[Path], options: Options
    ) -> Generator[tuple[Path, Classification], None, None]:
        """As `Client.classify_each`, in the order of the images."""
        taken: deque[Path] = deque()

        def noted() -> Iterator[Path]:
            for image in images:
                taken.append(image)
                yield image

        if options.embedding:
            for vector in self._classifier.embed(noted()):
                yield taken.popleft(), self._embedded(vector)
        else:
            for found in self._classifier.classify(noted(), top_k=options.top_k or 1):
                yield taken.popleft(), _converted(found)

    def _embedded(self, vector: Any) -> Classification:
        model, resolution = self.default_model, self._classifier.resolution
        if isinstance(vector, Exception):
            return Classification(model, resolution, error=_error(vector))
        return Classification(model, resolution, embedding=array("f", vector.tobytes()))


@contextmanager
def open_local(
    model: str | None, store: Path | None, resolution: int | None, workers: int | None
) -> Iterator[LocalImages]:
    """Open the model on this machine.

    Raises:
        ClientError: the gateway is not installed here, or the model cannot be opened.
    """
    try:
        from mobilenet_gateway import Classifier
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise ClientError(f"--local: {error}. Install {PACKAGE} again.") from error
        raise ClientError(
            "--local needs mobilenet-gateway beside this client, which is not installed here. "
            "In a checkout, `pip install . ./client` installs both. Without --local, a service "
            "at --url classifies."
        ) from error
    except ImportError as error:  # another package `app` is in the way, and the text names it
        raise ClientError(f"--local: {error}") from error
    from app.errors import GatewayError
    from app.images import pillow_settings

    pillow_settings.configure()
    try:
        classifier = Classifier(model, store=store, resolution=resolution, workers=workers).open()
    except GatewayError as error:
        raise ClientError(str(error)) from error
    with classifier:
        yield LocalImages(classifier)


def _converted(found: Any) -> Classification:
    """A classification of `app.library` as one of this client."""
    return Classification(
        found.model,
        found.resolution,
        tuple(ClassScore(one.class_id, one.label, one.probability) for one in found.predictions),
        0.0,
        found.decode_ms,
        found.inference_ms,
        None if found.error is None else _error(found.error),
        found.warnings,
    )


def _error(error: Any) -> Problem | UnreadableImage:
    """An error of an image; the kinds of both sides have the same `type`."""
    if error.type == UnreadableImage.type:
        return UnreadableImage(error.detail)
    return Problem(error.type, error.title, error.status, error.detail)
