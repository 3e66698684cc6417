"""The bytes between the service and its helper process.

The helper writes READY once. A job is JOB and the file, or a byte for each piece of it that has
arrived in shared memory; its answer is ANSWER and the payload: the pixels of the square, RGB, and
warnings, one a line, or the text of an error.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from app.errors import (
    DamagedImage,
    EmptyBody,
    ImageTooSmall,
    NotAnImage,
    OutOfMemory,
    RequestError,
    TooManyPixels,
    UnsupportedFormat,
)

# Counted up with each change: an upgrade may replace the files of a service that runs.
READY = b"mobilenet-gateway helper 2\n"
# bytes of the file, whether it is in shared memory, then the fields of `Job`
JOB = struct.Struct("<QBIBdBB")
ANSWER = struct.Struct("<BI")  # kind, bytes of the payload

RESIZES = ("shortest_edge", "central_crop")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
PIXELS = 0  # the kind of an answer that is no error
ERRORS: tuple[type[RequestError], ...] = (
    DamagedImage,
    UnsupportedFormat,
    TooManyPixels,
    ImageTooSmall,
    OutOfMemory,
    NotAnImage,
    EmptyBody,
)  # the other kinds, from 1
MAX_TEXT_BYTES = 1000


class Job(NamedTuple):
    """What to do with a file; the crop rule is part of it."""

    resolution: int
    resize: str
    crop_fraction: float
    interpolation: str
    reduced_decode: bool

    @property
    def pixel_bytes(self) -> int:
        return self.resolution * self.resolution * 3

    def pack(self, file_bytes: int, *, shared: bool) -> bytes:
        return JOB.pack(
            file_bytes,
            shared,
            self.resolution,
            RESIZES.index(self.resize),
            self.crop_fraction,
            INTERPOLATIONS.index(self.interpolation),
            self.reduced_decode,
        )


def unpack_job(packed: bytes) -> tuple[int, bool, Job]:
    """Return the bytes of the file, whether it is in shared memory, and what to do with it."""
    file_bytes, shared, resolution, resize, fraction, interpolation, reduced = JOB.unpack(packed)
    job = Job(resolution, RESIZES[resize], fraction, INTERPOLATIONS[interpolation], bool(reduced))
    return file_bytes, bool(shared), job


def pack_square(pixels: bytes, warnings: tuple[str, ...]) -> bytes:
    """Return the answer for an image that was decoded."""
    text = "\n".join(warnings).encode()[:MAX_TEXT_BYTES]
    return ANSWER.pack(PIXELS, len(pixels) + len(text)) + pixels + text


def unpack_warnings(answer: bytes, job: Job) -> tuple[str, ...]:
    """Return the warnings behind the pixels."""
    return tuple(answer[job.pixel_bytes :].decode("utf-8", "replace").splitlines())


def pack_error(error: RequestError) -> bytes:
    """Return the answer for an image that cannot be decoded."""
    text = error.detail.encode()[:MAX_TEXT_BYTES]
    return ANSWER.pack(1 + ERRORS.index(type(error)), len(text)) + text


class Helper(Protocol):
    """Decodes files outside this process."""

    def decode(self, data: bytes, job: Job, abandoned: Callable[[], bool]) -> bytes:
        """As `app.images.helper_process.HelperProcess.decode`."""
