"""Timing of every loaded variant on this device; the results are stored next to the models.

Like optimised graphs, results are valid only for the model file, runtime and CPU they were measured
with, which the name of their file identifies.
"""

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median_high

import numpy as np
from PIL import Image

from app.arrays import Uint8Array
from app.card.card import Preprocessing
from app.card.variant import Key, Variant, variants_of
from app.errors import UnknownModel
from app.images.decode import load_image
from app.images.limits import ImageLimits
from app.inference.timings import Measured, Timings
from app.model.graph_cache import FOLDER, cache_name, remove_stale
from app.model.head_model import HeadModel
from app.model.model import Model
from app.model.store import Store

log = logging.getLogger(__name__)

RUNS = 7  # timed, after one warm-up run
DECODES = 3
FINISH_S = 5.0
IMAGE_SIZES = ((320, 240), (640, 480), (1280, 720))
PREPROCESSING = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a measurement: numbers of variants, and its duration."""

    measured: int
    kept: int  # known from an earlier measurement
    left_out: int  # for lack of time
    took_s: float
    models: frozenset[str] = frozenset()  # of the variants measured


class Measurer:
    """Times variants one after another on the calling thread.

    Requests have priority: it waits while there are any, within its time limit.
    """

    def __init__(
        self,
        store: Store,
        timings: Timings,
        resolutions: Sequence[int],
        busy: Callable[[], bool],
        *,
        store_results: bool = True,
    ) -> None:
        self._store = store
        self._timings = timings
        self._resolutions = tuple(resolutions)
        self._busy = busy
        self._store_results = store_results
        self._stopped = threading.Event()
        self._measuring = asyncio.Lock()
        self._failed: set[Key] = set()
        self._tried_decoding = False

    def stop(self) -> None:
        """End a running measurement after its current run."""
        self._stopped.set()

    def load_results(self) -> int:
        """Load the stored results of earlier measurements; returns their number."""
        loaded = 0
        for model, variants in self._by_model():
            stored = _read(self._store.path(model.name))
            for variant in variants:
                if variant.resolution in stored:
                    self._timings.measure(variant, stored[variant.resolution])
                    loaded += 1
        return loaded

    async def measure_exclusively(self, limit_s: float, *, again: bool = True) -> Report:
        """Call `measure` on another thread, one call at a time; then release memory.

        `limit_s` counts from the moment that earlier calls have ended.
        """
        async with self._measuring:
            report = await asyncio.to_thread(self.measure, limit_s, again=again)
        if report.measured:  # runs at many resolutions leave memory fragmented
            await asyncio.to_thread(self._store.release_memory, report.models)
        return report

    def measure(self, limit_s: float, *, again: bool = True) -> Report:
        """Time decoding and every variant, trained resolutions first, each for up to `limit_s`.

        With `again` false, only variants without a result; those that failed count as known.
        """
        began = time.monotonic()
        known = set() if again else self._timings.measured.keys() | self._failed
        every = [
            (variant.resolution != model.card.resolution, variant)
            for model, variants in self._by_model()
            if model.state == "loaded"
            for variant in variants
        ]
        wanted = [pair for pair in every if pair[1].key not in known]
        wanted.sort(key=lambda pair: pair[0])
        if wanted and (again or not self._tried_decoding):
            self._tried_decoding = True
            self._measure_decoding(time.monotonic() + limit_s)
        end_at = time.monotonic() + limit_s
        measured: list[str] = []
        gone: set[str] = set()
        failed = 0
        for _, variant in wanted:
            if variant.model in gone:
                continue
            try:
                found = self._measure_variant(variant, end_at)
            except Exception:  # of onnxruntime: the graph does not run at this resolution
                log.exception("Cannot time %s", variant.name)
                self._failed.add(variant.key)
                failed += 1
                continue
            if found is None:
                break
            if found:
                measured.append(variant.model)
            else:
                gone.add(variant.model)
        self._write(set(measured))
        report = Report(
            len(measured),
            len(every) - len(wanted),
            len(wanted) - len(measured) - failed,
            time.monotonic() - began,
            frozenset(measured),
        )
        log.info(
            "measured %s variants in %.1f s, %s known before, %s skipped",
            report.measured, report.took_s, report.kept, report.left_out,
        )  # fmt: skip
        return report

    @property
    def busy(self) -> bool:
        return self._busy()

    @property
    def measurable(self) -> frozenset[str]:
        """Names of the models whose variants can be timed: those that are loaded."""
        return frozenset(model.name for model in self._networks() if model.state == "loaded")

    def _measure_variant(self, variant: Variant, end_at: float) -> bool | None:
        """Time a variant; False if its model was dropped or replaced, None if the time is up.

        Looks the model up by its name: a list of models would keep those in memory that a reload
        replaces.
        """
        try:
            model = self._store.get(variant.model)
        except UnknownModel:
            return False
        if (found := self._time(model, variant.resolution, end_at)) is None:
            return None
        self._timings.measure(variant, found)
        if self._store.holds(model):
            return True
        self._timings.forget({model.name})  # a reload may have dropped its timings already
        return False

    def _by_model(self) -> list[tuple[Model, list[Variant]]]:
        return [
            (model, variants_of(model.card, model.file_bytes, self._resolutions))
            for model in self._networks()
        ]

    def _networks(self) -> list[Model]:
        """The models without heads, which take the time of their base."""
        return [model for model in self._store if not isinstance(model, HeadModel)]

    def _time(self, model: Model, resolution: int, end_at: float) -> Measured | None:
        """Time a variant; None if the time is up.

        One that has begun gets `FINISH_S` more, so that slow ones are not begun again for ever.
        """
        image = _noise(resolution, resolution)[np.newaxis]
        # On the CPU a run stays on this thread, whose CPU time excludes other work.
        clock = time.thread_time if model.providers == ["cpu"] else time.perf_counter
        took_ms = []
        for _ in range(1 + RUNS):
            if not self._wait_until_idle(end_at):
                return None
            end_at = max(end_at, time.monotonic() + FINISH_S)
            began = clock()
            model.probabilities(image)
            took_ms.append((clock() - began) * 1000)
        ordered = sorted(took_ms[1:])
        return Measured(round(ordered[RUNS // 2], 3), round(ordered[-1], 3))

    def _measure_decoding(self, end_at: float) -> None:
        """Time the decoding of a smooth image in the sizes of cameras, at the middle resolution."""
        side = median_high(self._resolutions or (224,))
        noise = _noise(80, 60)
        for size in IMAGE_SIZES:
            data = io.BytesIO()
            Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(data, "JPEG")
            for _ in range(DECODES):
                if not self._wait_until_idle(end_at):
                    return
                began = time.thread_time()
                load_image(data.getvalue(), side, PREPROCESSING, ImageLimits())
                took_ms = (time.thread_time() - began) * 1000
                now_s = time.perf_counter()
                self._timings.record_decode(len(data.getvalue()), side, took_ms, now_s)

    def _wait_until_idle(self, end_at: float) -> bool:
        """Wait while there are requests; returns whether time is left."""
        while time.monotonic() < end_at and not self._stopped.is_set():
            if not self._busy():
                return True
            time.sleep(POLL_S)
        return False

    def _write(self, names: set[str]) -> None:
        """Store the results of these models."""
        if not self._store_results:
            return
        known = self._timings.measured.copy()  # a reload may drop some
        for name in names:
            results = {
                side: {"p50_ms": idle.p50_ms, "p95_ms": idle.p95_ms}
                for (model, side), idle in known.items()
                if model == name
            }
            try:
                path = _results_file(self._store.path(name))
                path.parent.mkdir(exist_ok=True)
                remove_stale(path)
                path.write_text(json.dumps(results), "utf-8")
            except (OSError, KeyError) as error:  # not writable, or the model was just dropped
                log.info("Cannot store the timings of %s: %s", name, error)


def _noise(width: int, height: int) -> Uint8Array:
    """RGB noise [height, width, 3], the same every time; the container has no numpy.random."""
    data = Random(0).randbytes(height * width * 3)  # noqa: S311  no secret
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _read(model: Path) -> dict[int, Measured]:
    """The stored results of a model file by resolution; empty if they cannot be read."""
    try:
        text = _results_file(model).read_text("utf-8")
        return {int(side): Measured(**results) for side, results in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _results_file(model: Path) -> Path:
    return model.parent / FOLDER / cache_name(model, "json")
