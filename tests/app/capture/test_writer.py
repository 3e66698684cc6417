"""The thread that keeps images: what it compares, bounds and survives."""

import logging
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from app.arrays import Float32Array
from app.capture.folder import Capture, CaptureFolder
from app.capture.rule import Finding
from app.capture.writer import QUEUE_BYTES, QUEUE_IMAGES, CaptureWriter, Offer, open_writer
from app.errors import SettingError
from app.model.model import Model, load_model
from app.settings import Settings
from app.telemetry.request_counts import Counts
from tests.app.sample_images import encode, noise
from tests.exports import export_random
from tests.full_disk import full_disk
from tests.processes import until

IMAGE = encode(noise(40, 40))


class SlowFolder(CaptureFolder):
    """A folder on a disk that is slow until it is told not to be."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 10**6, 24)
        self.quick = Event()

    def add(self, image: bytes, capture: Capture, suffix: str, now: datetime) -> Capture | None:
        self.quick.wait()
        return super().add(image, capture, suffix, now)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(export_random(tmp_path_factory.mktemp("store")))


@pytest.fixture
def counts() -> Counts:
    return Counts("captures", "", ("outcome",))


@pytest.fixture
def writer(tmp_path: Path, counts: Counts) -> Iterator[CaptureWriter]:
    opened = CaptureWriter(CaptureFolder(tmp_path, 10**6, 24), counts, check_s=0.05)
    yield opened
    opened.close()


def direction(*values: float) -> Float32Array:
    return np.array(values, np.float32)


def offer(
    model: Model,
    embedding: Float32Array | None = None,
    resolution: int = 96,
    image: bytes = IMAGE,
) -> Offer:
    probabilities = np.full(1000, 0.001, np.float32)
    return Offer(image, Finding("uncertain", model, probabilities), resolution, embedding)


def outcomes(counts: Counts) -> dict[str, int]:
    return {outcome: count for (outcome,), count in counts.counts.items() if count}


def test_images_that_are_alike_are_kept_once(
    writer: CaptureWriter, counts: Counts, model: Model
) -> None:
    """By the cosine: 0.94 of one image are alike, whatever the length of the embedding."""
    for embedding in (
        direction(1, 0),
        direction(5, 0),
        direction(0.95, np.sqrt(1 - 0.95**2)),
        direction(0.93, np.sqrt(1 - 0.93**2)),
        direction(0, 1),
        direction(0.01, 1),
    ):
        writer.offer(offer(model, embedding))
    writer.close()
    assert outcomes(counts) == {"kept": 3, "alike": 3}
    assert len(writer.folder.newest(9)) == 3


def test_embeddings_of_other_resolutions_and_missing_ones_are_not_compared(
    writer: CaptureWriter, counts: Counts, model: Model
) -> None:
    same = direction(1, 0)
    for each in (offer(model, same), offer(model, same, 128), offer(model), offer(model)):
        writer.offer(each)
    writer.close()
    assert outcomes(counts) == {"kept": 4}


def test_what_finds_no_place_in_the_queue_is_dropped_and_nobody_waits(
    tmp_path: Path, counts: Counts, model: Model
) -> None:
    folder = SlowFolder(tmp_path)
    writer = CaptureWriter(folder, counts)
    writer.offer(offer(model))
    until(lambda: not writer._offers, "the thread has taken the first")
    for _ in range(QUEUE_IMAGES + 3):
        writer.offer(offer(model))
    assert outcomes(counts) == {"dropped": 3}
    folder.quick.set()
    writer.close()
    assert outcomes(counts) == {"kept": QUEUE_IMAGES + 1, "dropped": 3}


def test_the_queue_is_bounded_in_bytes_and_takes_one_image_of_any_size(
    tmp_path: Path, counts: Counts, model: Model
) -> None:
    folder = SlowFolder(tmp_path)
    writer = CaptureWriter(folder, counts)
    writer.offer(offer(model))
    until(lambda: not writer._offers, "the thread has taken the first")
    writer.offer(offer(model, image=IMAGE + bytes(QUEUE_BYTES)))
    writer.offer(offer(model))
    folder.quick.set()
    writer.close()
    # the large one found a place in the queue and none in the folder
    assert outcomes(counts) == {"kept": 1, "dropped": 2}


def test_a_full_disk_is_one_line_and_ends_when_there_is_room(
    writer: CaptureWriter, counts: Counts, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def failed_again(before: int) -> bool:
        writer.offer(offer(model))
        return outcomes(counts).get("failed", 0) > before

    with full_disk(10):
        for failures in range(3):
            until(partial(failed_again, failures), "an image fails")
    writer.offer(offer(model))

    def kept() -> bool:
        writer.offer(offer(model))
        return outcomes(counts).get("kept", 0) > 0

    until(kept, "an image is kept again")
    writer.close()
    texts = [record.getMessage() for record in caplog.records]
    stopped = [text for text in texts if text.startswith("Capturing stops until it works again")]
    assert len(stopped) == 1
    assert "File too large" in stopped[0]
    assert texts.count("capturing again") == 1
    assert len(list(writer.folder.path.glob("*.json"))) == outcomes(counts)["kept"]


def test_old_images_leave_without_new_ones(tmp_path: Path, counts: Counts) -> None:
    folder = CaptureFolder(tmp_path, 10**6, 1)
    folder.add(
        b"old", Capture("gate", "audit", ()), "jpeg", datetime.now(UTC) - timedelta(hours=1.1)
    )
    writer = CaptureWriter(folder, counts)
    until(lambda: not list(tmp_path.iterdir()), "the old image is gone")
    writer.close()


def test_a_folder_that_cannot_be_used_stops_the_start(tmp_path: Path, counts: Counts) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingError, match=r"capture: cannot use .*file"):
        open_writer(file, Settings(), counts)
    opened = open_writer(tmp_path / "new" / "captures", Settings(), counts)
    opened.close()
    assert opened.folder.newest(1) == []
    assert stat.S_IMODE(opened.folder.path.stat().st_mode) == 0o700
