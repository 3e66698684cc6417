"""An open model and what decodes for it, for programs that classify without a service."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from errno import EISDIR
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from app.errors import GatewayError, RequestError, TooManyBytes
from app.images.decode_memory import DecodeMemory
from app.images.helper_process import HelperLimits
from app.images.limits import ImageLimits
from app.images.pixel_input import pixel_input
from app.inference.classify import Classifier
from app.inference.helper_decode import Decoded
from app.inference.helper_pool import HelperPool
from app.inference.helper_queue import Deferred
from app.inference.local_model import local_model
from app.settings import Settings

T = TypeVar("T")
ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray[Any, Any]"
)
PILLOW_ERRORS = (OSError, ValueError, SyntaxError)  # truncated file, closed file, broken PNG


class UnreadableImage(GatewayError):
    """The file cannot be read, or the object is not an image."""

    type = "unreadable-image"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


ImageFailure: TypeAlias = RequestError | UnreadableImage


class LocalSession:
    """A loaded model, for any number of threads of this process."""

    def __init__(
        self, settings: Settings, name: str | None, resolution: int | None, workers: int
    ) -> None:
        """Load the model; `workers` is the number of threads that will use it at once.

        Raises:
            ModelFileError, SettingError: as `local_model`.
            BadQuery: the model does not support the resolution.
        """
        self.pid = os.getpid()
        self.workers = workers
        self.model, self.path = local_model(settings, name)
        self.resolution = self.model.check_resolution(resolution)
        self._limits = ImageLimits.from_settings(settings)
        self._max_bytes = settings.max_body_bytes
        self._helpers = HelperPool(
            self._limits,
            HelperLimits(
                settings.helper_cpu_s, settings.helper_memory_bytes, settings.max_body_bytes
            ),
            workers,
        )
        self.classifier = Classifier(
            self._limits,
            settings.reduced_decode,
            memory=DecodeMemory(settings.max_decode_bytes),
            helper=self._helpers,
        )

    def close(self) -> None:
        """End the helper processes; the next image that needs one starts it again."""
        self._helpers.stop()

    def outcome(self, image: ImageSource, run: Callable[..., T]) -> T | ImageFailure:
        """What `run` returns for an image, or why it cannot be classified.

        `run` has the arguments of `Classifier.run` but for the queue.
        """
        try:
            data, decoded = self._read(image)
            while True:
                try:
                    return run(data, decoded=decoded, model=self.model, resolution=self.resolution)
                except Deferred as deferred:
                    prepare = deferred.prepare
                decoded = prepare(lambda: False)
        except (RequestError, UnreadableImage) as error:
            return error

    def load_pixels(self, image: ImageSource) -> None:
        """Read the pixels of an opened PIL image, which one thread may do at a time."""
        if isinstance(image, Image.Image):
            width, height = image.size
            if width * height <= self._limits.max_pixels:
                with suppress(*PILLOW_ERRORS):  # `outcome` will report it
                    image.load()

    def _read(self, image: ImageSource) -> tuple[bytes, Decoded | None]:
        """The bytes of a file, or pixels that need no decoding."""
        if isinstance(image, Image.Image | np.ndarray):
            started = time.perf_counter()
            rule = self.model.card.preprocessing
            pixels = pixel_input(image, self.resolution, rule, self._limits)
            return b"", Decoded(pixels, (), (time.perf_counter() - started) * 1000)
        if isinstance(image, str | os.PathLike):
            return self._read_file(Path(image)), None
        if not isinstance(image, bytes | bytearray | memoryview):
            raise UnreadableImage(
                f"Unsupported image: {type(image).__name__}. "
                "Pass a path, bytes, a PIL image or a uint8 array."
            )
        data = bytes(image)
        self._check_length(len(data))
        return data, None

    def _read_file(self, path: Path) -> bytes:
        try:
            status = path.stat()
            if S_ISDIR(status.st_mode):
                raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
            if not S_ISREG(status.st_mode):
                raise UnreadableImage(
                    f"{path}: This is not a file. Pipes and devices are not supported."
                )
            self._check_length(status.st_size)
            return path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: NUL or a surrogate in the name
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableImage(f"{path}: {reason}") from error

    def _check_length(self, length: int) -> None:
        if length > self._max_bytes:
            raise TooManyBytes(f"The file has {length} bytes; max_body_bytes is {self._max_bytes}.")
