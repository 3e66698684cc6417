"""The process that fits a head while the service goes on answering; of large modules only NumPy.

Run as `python -P -m app.training.child PID`, with a `TrainingJob` on standard input, by
`app.training.trainer`. Its status is 0 if the head is written, and 3, with a `TrainingFailure` on
standard output, if the examples cannot be taught; 4 if the disk fails. It is killed with the
service.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np

from app.arrays import Float32Array
from app.examples.example_folder import units_name
from app.heads.head_file import pack_head
from app.system.atomic_file import atomic_write
from app.system.memory import map_large_blocks
from app.system.parent import end_with_parent
from app.teaching.embedded_photos import (
    EmbeddedPhotos,
    Photo,
    Skipped,
    TeachingError,
    too_few_labels,
)
from app.teaching.lesson import Taught, choose_form, teach
from app.training.job import CANNOT_TEACH, DISK_FAILS, TrainingFailure, TrainingForm, TrainingJob

NICENESS = 19
# Returned to the system as soon as they are free: an array of all photos takes megabytes.
LARGE_BYTES = 2**20


def main() -> None:
    """Train the head of the job."""
    end_with_parent(int(sys.argv[1]))
    yield_to_the_service()
    map_large_blocks(LARGE_BYTES)
    job = TrainingJob.model_validate_json(sys.stdin.buffer.read())
    try:
        taught = teach_forms(job)
        with atomic_write(job.target) as file:
            file.write(pack_head(taught.head, taught.report.model_dump_json()))
    except TeachingError as error:
        end_with(CANNOT_TEACH, TrainingFailure(reason=str(error)))
    except OSError as error:
        failure = TrainingFailure(reason=str(error), errno=error.errno or 0)
        end_with(DISK_FAILS, failure)


def end_with(status: int, failure: TrainingFailure) -> NoReturn:
    """Say what is wrong and end."""
    sys.stdout.write(failure.model_dump_json())
    sys.stdout.flush()
    sys.exit(status)


def yield_to_the_service() -> None:
    """Run at the lowest priority, die first when memory is short, and leave signals to the service.

    A stop signal goes to all processes of a terminal or a systemd unit; the service ends this one.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def teach_forms(job: TrainingJob) -> Taught:
    """Teach on each form of the base, one after another, and choose between two.

    Raises:
        TeachingError: the examples cannot be taught.
    """
    taught: dict[str, Taught] = {}
    before: EmbeddedPhotos | None = None  # of the float form, if there are both
    for form in sorted(job.forms, key=lambda form: form.card.precision == "int8"):  # float first
        photos = read_photos(job, form)
        if before is not None:
            photos = photos.with_closer_views_of(before)
        before = photos
        taught[form.card.precision] = teach(photos, form.card, form.sha256, job.name, folder=Path())
    if len(taught) == 1:
        return next(iter(taught.values()))
    return choose_form(taught["int8"], taught["fp32"])


def read_photos(job: TrainingJob, form: TrainingForm) -> EmbeddedPhotos:
    """The examples with their embeddings by one form, in the order of the job.

    Raises:
        TeachingError: there are fewer than two classes.
    """
    units: Float32Array | None = None
    photos: list[Photo] = []
    for example_id, label in job.examples:
        try:
            rows = np.load(job.folder / units_name(example_id, form.sha256), allow_pickle=False)
        except FileNotFoundError:  # deleted since the training began
            continue
        if units is None:
            units = np.empty((len(job.examples), form.views, rows.shape[1]), np.float32)
        units[len(photos)] = rows[: form.views]
        photos.append(Photo(Path(example_id), label))
    labels = tuple(sorted({photo.label for photo in photos}))
    if units is None or len(labels) < 2:
        raise TeachingError(too_few_labels(len(labels)))
    skipped = [Skipped(Path(example_id), reason) for example_id, reason in job.skipped]
    return EmbeddedPhotos(photos, labels, units[: len(photos)], skipped)


if __name__ == "__main__":
    main()
