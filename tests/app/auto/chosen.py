"""A chooser over real models whose times are those of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from app.auto.choice import Choice, Demand, PredictQuery, explicit_choice
from app.auto.chooser import Chooser
from app.budget import Budget
from app.card.variant import Key
from app.inference.scheduler import Scheduler
from app.inference.timings import Measured, Timings
from app.model.store import Store
from app.telemetry.metrics import Metrics
from tests.app.inference.test_scheduler import scheduling

V1, V2 = "mobilenet_v1_0.25_128", "mobilenet_v2_0.35_224"
SIDES = (96, 128, 160, 192, 224)
TIMES_MS = {224: 20.0, 192: 15.0, 160: 10.0, 128: 6.0, 96: 3.0}
DECODE_MS = 1.0
HTTP_MS, SPREAD = 0.5, 1.3  # reading and answering; what a variant of unknown spread may take
HOLD_S, MAX_AGE_S = 1.0, 30.0  # a choice is reused; docs/choosing.md: tried again after 30 s
MIN_SAMPLES = 16
ONE = Demand(1, 60_000)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Chosen:
    """A chooser over real models whose times are those of the test."""

    def __init__(self, store: Store, scheduler: Scheduler, **given: Any) -> None:
        settings: dict[str, Any] = {"defaults": Budget(), **given}
        self.clock = Clock()
        self.timings = Timings(self.clock)
        self.metrics = Metrics()
        self.scheduler = scheduler
        self.chooser = Chooser(
            store,
            self.timings,
            scheduler,
            self.metrics,
            clock=self.clock,
            resolutions=SIDES,
            **settings,
        )
        for variant in self.chooser.variants:
            slower = 1.0 if variant.model == V2 else 2.0
            took_ms = TIMES_MS[variant.resolution] * slower
            self.timings.measure(variant, Measured(took_ms, took_ms))
            self.timings.record_decode(ONE.image_bytes, variant.resolution, DECODE_MS, 0)

    def time_ms(self, key: Key) -> float:
        return self.timings.measured[key].p50_ms

    def ask(self, demand: Demand = ONE, deadline_ms: float = inf, **query: Any) -> Key:
        return self.chooser.choose(PredictQuery(**query), demand, deadline_ms).key


@contextmanager
def choosing(store: Store, workers: int = 1, **settings: Any) -> Iterator[Chosen]:
    with scheduling(workers) as scheduler:
        yield Chosen(store, scheduler, **settings)


def surely_ms(inference_ms: float) -> float:
    return (inference_ms + DECODE_MS + HTTP_MS) * SPREAD


def explicit(models: Store, query: PredictQuery, *, auto_by_default: bool = False) -> Choice | None:
    return explicit_choice(query, models, auto_by_default=auto_by_default)
