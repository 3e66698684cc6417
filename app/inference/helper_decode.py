"""What an image may need before a worker runs the model on it: decoding elsewhere, or the model."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from app.arrays import Uint8Array
from app.errors import ModelFileError, StoreUnusable
from app.images.crop import CropRule
from app.images.helper_protocol import Helper, Job, unpack_warnings
from app.inference.helper_queue import Deferred
from app.model.model import Model

log = logging.getLogger(__name__)


class Decoded(NamedTuple):
    """The pixels [resolution, resolution, 3] of a file, and what it seems to lack."""

    pixels: Uint8Array
    warnings: tuple[str, ...] = ()
    helper_ms: float | None = None  # the time of the helper process, if it decoded the file


def deferred(
    helper: Helper, data: bytes, resolution: int, rule: CropRule, *, reduced_decode: bool
) -> Deferred:
    """What the job of an image raises that its worker must not decode."""
    job = Job(resolution, rule.resize, rule.crop_fraction, rule.interpolation, reduced_decode)
    return Deferred(partial(_decode, helper, data, job))


def _decode(helper: Helper, data: bytes, job: Job, abandoned: Callable[[], bool]) -> Decoded:
    started = time.perf_counter()
    answer = helper.decode(data, job, abandoned)
    helper_ms = (time.perf_counter() - started) * 1000
    pixels = np.frombuffer(answer, np.uint8, job.pixel_bytes)
    shape = (job.resolution, job.resolution, 3)
    return Decoded(pixels.reshape(shape), unpack_warnings(answer, job), helper_ms)


def needs_model(model: Model) -> Deferred:
    """What the job of an image raises whose model is not loaded yet."""
    return Deferred(partial(_load, model))


def _load(model: Model, _: Callable[[], bool]) -> None:
    try:
        model.load()
    except ModelFileError as error:
        log.error("Not loaded: %s", error)
        raise StoreUnusable(
            f"Cannot load {model.name}. The server's log has the reason."
        ) from error
