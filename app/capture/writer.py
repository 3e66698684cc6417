"""The thread that keeps images behind the answers."""

import logging
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.arrays import Float32Array
from app.capture.folder import Capture, CaptureFolder
from app.capture.rule import Finding
from app.errors import SettingError
from app.images.formats import sniff
from app.inference.classify import rank
from app.inference.head_group import HeadGroup
from app.model.head_model import HeadModel
from app.model.model import Model
from app.settings import Settings
from app.teaching.near_duplicates import SAME_SCENE, unit
from app.telemetry.request_counts import Counts

QUEUE_IMAGES = 16
QUEUE_BYTES = 16 * 2**20  # beside one image, which may be larger
RECENT = 256  # images that a new one is compared with: 1.3 MB of embeddings
TOP_K = 5
CHECK_S = 60.0  # interval of the checks for old images, and the pause after a failure
CLOSE_S = 2.0
OUTCOMES = ("kept", "alike", "dropped", "failed")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """An image to keep; `embedding` [width] is None if the model has none."""

    image: bytes
    finding: Finding
    resolution: int
    embedding: Float32Array | None


class CaptureWriter:
    """A bounded queue and one thread, which compares what is offered with recent images.

    What finds no place in the queue is dropped, so that no answer waits for a disk. The thread has
    the usual priority: with a lower one it would wait for a core while it holds the GIL, and every
    answer with it.
    """

    def __init__(self, folder: CaptureFolder, counts: Counts, check_s: float = CHECK_S) -> None:
        self.folder = folder
        self._counts = counts.counts
        self._check_s = check_s
        self._changed = threading.Condition()
        self._offers: deque[Offer] = deque()
        self._queued_bytes = 0
        self._recent: deque[tuple[tuple[str, int], Float32Array]] = deque(maxlen=RECENT)
        self._failing = False
        self._paused_until = 0.0
        self._closed = False
        for outcome in OUTCOMES:  # so that no key is added while the metrics are read
            self._count(outcome, 0)
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    def offer(self, offer: Offer) -> None:
        """Queue an image, or drop it; on any thread, and without waiting."""
        size = len(offer.image)
        with self._changed:
            full = len(self._offers) >= QUEUE_IMAGES or (
                self._offers and self._queued_bytes + size > QUEUE_BYTES
            )
            if full or self._closed or time.monotonic() < self._paused_until:
                self._count("dropped")
                return
            self._offers.append(offer)
            self._queued_bytes += size
            self._changed.notify()

    def close(self, patience_s: float = CLOSE_S) -> None:
        """Write what is queued and end the thread; gives up after `patience_s`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(patience_s)

    def _work(self) -> None:
        due = 0.0
        while True:
            with self._changed:
                if not self._offers and not self._closed:
                    self._changed.wait(max(0.0, due - time.monotonic()))
                offer = self._offers.popleft() if self._offers else None
                if offer is not None:
                    self._queued_bytes -= len(offer.image)
                elif self._closed:
                    return
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + self._check_s
                    self.folder.remove_old(datetime.now(UTC))
                if offer is not None:
                    self._keep(offer)
            except OSError as error:
                self._fail(error, offer)
            except Exception:  # the thread must not end
                log.exception("Cannot keep an image")
                self._count("failed")
            del offer  # the thread waits, and holds no image meanwhile

    def _keep(self, offer: Offer) -> None:
        finding, model = offer.finding, offer.finding.model
        key = _base(model).name, offer.resolution
        embedding = None if offer.embedding is None else unit(offer.embedding)
        if embedding is not None:
            alike = [each for seen, each in self._recent if seen == key]
            if alike and (np.stack(alike) @ embedding).max() >= SAME_SCENE:
                self._count("alike")
                return
        scores = rank(finding.probabilities, model.card.labels, TOP_K)
        capture = Capture(model.name, finding.reason, tuple(asdict(score) for score in scores))
        suffix = sniff(offer.image).lower()
        kept = self.folder.add(offer.image, capture, suffix, datetime.now(UTC))
        if kept is None:  # larger than all that may be kept
            self._count("dropped")
            return
        self._count("kept")
        if embedding is not None:
            self._recent.append((key, embedding))
        if self._failing:
            self._failing = False
            log.info("capturing again")

    def _fail(self, error: OSError, offer: Offer | None) -> None:
        """Stop for a while, with one line however long it lasts."""
        with self._changed:
            self._paused_until = time.monotonic() + self._check_s
            self._count("failed", offer is not None)
            self._count("dropped", len(self._offers))
            self._offers.clear()
            self._queued_bytes = 0
        if not self._failing:
            self._failing = True
            log.error("Capturing stops until it works again: %s", error)

    def _count(self, outcome: str, images: int = 1) -> None:
        with self._changed:
            self._counts[(outcome,)] += images


def _base(model: Model) -> Model:
    """The model whose embedding it is."""
    return model.base if isinstance(model, HeadModel | HeadGroup) else model


def open_writer(path: Path, settings: Settings, counts: Counts) -> CaptureWriter:
    """Open the folder of the setting `capture`, which is created if it is missing.

    Raises:
        SettingError: it cannot be created or read.
    """
    folder = CaptureFolder(path, settings.capture_limit_bytes, settings.capture_max_age_h)
    try:
        path.mkdir(0o700, parents=True, exist_ok=True)  # nobody else's business
        folder.remove_old(datetime.now(UTC))
    except OSError as error:
        raise SettingError(
            f"capture: cannot use {error.filename or path}: {error.strerror or error}."
        ) from error
    return CaptureWriter(folder, counts)
